/** Of all pieces those whose part lies within bounds.
 *
 * What PyFlink calls side outputs would do the same; but where Python runs within the JVM, they hold Python's one lock
 * while they wait for room, and whoever could make room waits for that lock.
 */
public class CounterfoilSelector extends org.apache.flink.streaming.api.operators.AbstractStreamOperator
        implements org.apache.flink.streaming.api.operators.OneInputStreamOperator {

    private static final long LOWEST = @lowest@L;
    private static final long HIGHEST = @highest@L;

    public CounterfoilSelector(Object[] references,
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
        long part = ((Long) piece.f0).longValue();
        if (part >= LOWEST && part <= HIGHEST) {
            output.collect(element);
        }
    }
}
