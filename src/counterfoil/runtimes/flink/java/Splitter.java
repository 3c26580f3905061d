/** Frames for one sink as rows: a message each, with its key, its value and its headers.
 *
 * A frame, little endian: the number of the sink, what is in it, how many. Frames of other sinks are left out.
 *
 * Lines (0): bytes of the source's name, bytes of ids; then offsets, then the length of each id (-1 for none), then the
 * source's name, the ids, and a line for each, ended by a newline.
 * Messages (1): for each the length of key, value, and of both parts of the headers, which are two; then these.
 * Text (2): lines, to be written as they are.
 */
public class CounterfoilSplitter extends org.apache.flink.streaming.api.operators.AbstractStreamOperator
        implements org.apache.flink.streaming.api.operators.OneInputStreamOperator {

    private static final long SINK = @sink@L;
    private static final long FRAMES = @frames@L;

    public CounterfoilSplitter(Object[] references,
            org.apache.flink.streaming.runtime.tasks.StreamTask task,
            org.apache.flink.streaming.api.graph.StreamConfig config,
            org.apache.flink.streaming.api.operators.Output output,
            org.apache.flink.streaming.runtime.tasks.ProcessingTimeService service) {
        this.setup(task, config, output);
        this.setProcessingTimeService(service);
    }

    public void processElement(org.apache.flink.streaming.runtime.streamrecord.StreamRecord element) throws Exception {
        org.apache.flink.types.Row row = (org.apache.flink.types.Row) element.getValue();
        org.apache.flink.api.java.tuple.Tuple3 piece = (org.apache.flink.api.java.tuple.Tuple3) row.getField(1);
        if (((Long) piece.f0).longValue() != FRAMES) {
            return;
        }
        java.nio.ByteBuffer frame = java.nio.ByteBuffer.wrap((byte[]) piece.f2);
        frame.order(java.nio.ByteOrder.LITTLE_ENDIAN);
        if (frame.getLong() != SINK) {
            return;
        }
        int kind = (int) frame.getLong();
        int count = (int) frame.getLong();
        if (kind == 0) {
            lines(frame, count);
        } else if (kind == 1) {
            messages(frame, count);
        } else {
            org.apache.flink.table.data.GenericRowData text = new org.apache.flink.table.data.GenericRowData(1);
            text.setField(0, taken(frame, frame.remaining()));
            send(text);
        }
    }

    private void lines(java.nio.ByteBuffer frame, int count) throws Exception {
        byte[] all = frame.array();
        int named = (int) frame.getLong();
        int ids = (int) frame.getLong();
        int offsets = 40;
        int lengths = offsets + 8 * count;
        int name = lengths + 4 * count;
        int id = name + named;
        int line = id + ids;
        String prefix = new String(all, name, named, "UTF-8");
        for (int index = 0; index < count; index++) {
            byte[] source = (prefix + frame.getLong(offsets + 8 * index)).getBytes("UTF-8");
            int length = frame.getInt(lengths + 4 * index);
            byte[] key = source;
            if (length >= 0) {
                key = java.util.Arrays.copyOfRange(all, id, id + length);
                id = id + length;
            }
            int end = line;
            while (all[end] != 10) {
                end = end + 1;
            }
            byte[] value = java.util.Arrays.copyOfRange(all, line, end);
            line = end + 1;
            java.util.HashMap headers = new java.util.HashMap(4);
            headers.put(org.apache.flink.table.data.binary.BinaryStringData.fromString("id"), key);
            headers.put(org.apache.flink.table.data.binary.BinaryStringData.fromString("source"), source);
            message(key, value, headers);
        }
    }

    private void messages(java.nio.ByteBuffer frame, int count) throws Exception {
        for (int index = 0; index < count; index++) {
            int key = frame.getInt();
            int value = frame.getInt();
            int headers = frame.getInt();
            byte[] keyed = taken(frame, key);
            byte[] valued = taken(frame, value);
            java.util.HashMap map = new java.util.HashMap();
            for (int each = 0; each < headers; each++) {
                int name = frame.getInt();
                int length = frame.getInt();
                Object named = org.apache.flink.table.data.binary.BinaryStringData.fromBytes(taken(frame, name));
                map.put(named, taken(frame, length));
            }
            message(keyed, valued, map);
        }
    }

    private byte[] taken(java.nio.ByteBuffer frame, int length) {
        byte[] found = new byte[length];
        frame.get(found);
        return found;
    }

    private void message(byte[] key, byte[] value, java.util.HashMap headers) throws Exception {
        org.apache.flink.table.data.GenericRowData row = new org.apache.flink.table.data.GenericRowData(3);
        row.setField(0, key);
        row.setField(1, value);
        row.setField(2, new org.apache.flink.table.data.GenericMapData(headers));
        send(row);
    }

    private void send(Object row) throws Exception {
        output.collect(new org.apache.flink.streaming.runtime.streamrecord.StreamRecord(row));
    }
}
