/** Records of one topic as batches: those of a partition in a row, as many as have come, in one array of bytes.
 *
 * Nothing is held back over a barrier: what has gathered is sent before the checkpoint is taken. So there is no state.
 *
 * A batch, little endian: the topic, the partition, the number of records, the newest of their timestamps in
 * milliseconds, the bytes of their values; then their offsets, then the lengths of their values (-1 for none), then the
 * values, with a newline between two of them.
 */
public class CounterfoilBatcher extends org.apache.flink.streaming.api.operators.AbstractStreamOperator
        implements org.apache.flink.streaming.api.operators.OneInputStreamOperator,
        org.apache.flink.streaming.api.operators.BoundedOneInput,
        org.apache.flink.api.common.operators.ProcessingTimeService.ProcessingTimeCallback {

    private static final long TOPIC = @topic@L;
    private static final int RECORDS = @records@;
    private static final int BYTES = @bytes@;
    private static final long LINGER = @linger@L;
    private static final int HEAD = 40;

    private final java.util.HashMap open = new java.util.HashMap();
    private Gathered last;
    private boolean waiting;

    /** What has gathered of one partition. */
    public static class Gathered {
        final int partition;
        int count;
        int size;
        long newest;
        long[] offsets = new long[1024];
        int[] lengths = new int[1024];
        byte[] data = new byte[262144];

        Gathered(int partition) {
            this.partition = partition;
        }
    }

    public CounterfoilBatcher(Object[] references,
            org.apache.flink.streaming.runtime.tasks.StreamTask task,
            org.apache.flink.streaming.api.graph.StreamConfig config,
            org.apache.flink.streaming.api.operators.Output output,
            org.apache.flink.streaming.runtime.tasks.ProcessingTimeService service) {
        this.setup(task, config, output);
        this.setProcessingTimeService(service);
    }

    public void processElement(org.apache.flink.streaming.runtime.streamrecord.StreamRecord element) throws Exception {
        org.apache.flink.table.data.RowData row = (org.apache.flink.table.data.RowData) element.getValue();
        int partition = row.getInt(1);
        if (last == null || last.partition != partition) {
            last = (Gathered) open.get(Integer.valueOf(partition));
            if (last == null) {
                last = new Gathered(partition);
                open.put(Integer.valueOf(partition), last);
            }
        }
        Gathered to = last;
        byte[] value = row.isNullAt(0) ? null : row.getBinary(0);
        int length = value == null ? 0 : value.length;
        if (to.count > 0 && (to.count >= RECORDS || to.size + length >= BYTES)) {
            send(to);
        }
        if (to.count == to.offsets.length) {
            to.offsets = java.util.Arrays.copyOf(to.offsets, 2 * to.count);
            to.lengths = java.util.Arrays.copyOf(to.lengths, 2 * to.count);
        }
        if (to.size + length + 1 > to.data.length) {
            to.data = java.util.Arrays.copyOf(to.data, Math.max(2 * to.data.length, to.size + length + 1));
        }
        if (to.count > 0) {
            to.data[to.size] = (byte) 10;
            to.size = to.size + 1;
        }
        if (length > 0) {
            System.arraycopy(value, 0, to.data, to.size, length);
            to.size = to.size + length;
        }
        to.offsets[to.count] = row.getLong(2);
        to.lengths[to.count] = value == null ? -1 : length;
        to.count = to.count + 1;
        if (!row.isNullAt(3)) {
            to.newest = Math.max(to.newest, row.getTimestamp(3, 3).getMillisecond());
        }
        if (!waiting) {
            waiting = true;
            org.apache.flink.api.common.operators.ProcessingTimeService service = getProcessingTimeService();
            service.registerTimer(service.getCurrentProcessingTime() + LINGER, this);
        }
    }

    public void onProcessingTime(long time) throws Exception {
        waiting = false;
        sendAll();
    }

    public void prepareSnapshotPreBarrier(long checkpoint) throws Exception {
        sendAll();
    }

    public void endInput() throws Exception {
        sendAll();
    }

    private void sendAll() throws Exception {
        java.util.Iterator each = open.values().iterator();
        while (each.hasNext()) {
            send((Gathered) each.next());
        }
    }

    private void send(Gathered from) throws Exception {
        if (from.count == 0) {
            return;
        }
        java.nio.ByteBuffer made = java.nio.ByteBuffer.allocate(HEAD + 12 * from.count + from.size);
        made.order(java.nio.ByteOrder.LITTLE_ENDIAN);
        made.putLong(TOPIC);
        made.putLong((long) from.partition);
        made.putLong((long) from.count);
        made.putLong(from.newest);
        made.putLong((long) from.size);
        for (int index = 0; index < from.count; index++) {
            made.putLong(from.offsets[index]);
        }
        for (int index = 0; index < from.count; index++) {
            made.putInt(from.lengths[index]);
        }
        made.put(from.data, 0, from.size);
        from.count = 0;
        from.size = 0;
        from.newest = 0L;
        output.collect(new org.apache.flink.streaming.runtime.streamrecord.StreamRecord(made.array()));
    }
}
