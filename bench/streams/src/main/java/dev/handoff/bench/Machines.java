package dev.handoff.bench;

import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.Arrays;
import java.util.Map;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.StoreBuilder;
import org.apache.kafka.streams.state.Stores;
import org.apache.kafka.streams.state.WindowStore;

/**
 * Both machines in the Processor API, which does no more than is asked of it: bytes in, bytes out, one
 * read and one write of the count per record.
 */
final class Machines {
    private static final String COUNTS = "counts";
    private static final String SEEN = "seen";
    private static final int ID_BYTES = 16;
    private static final byte[] HERE = {1};
    /** Of a window; ids are forgotten a bucket at a time. */
    private static final int BUCKETS = 2;

    private Machines() {}

    static Topology topology(Map<String, String> given) {
        boolean cached = Long.parseLong(given.get("cache")) > 0;
        boolean dedupe = given.get("machine").equals("dedupe");
        long window = Long.parseLong(given.get("window"));
        var counts = Stores.keyValueStoreBuilder(
                Stores.persistentKeyValueStore(COUNTS), Serdes.ByteArray(), Serdes.ByteArray());
        Topology topology = new Topology();
        topology.addSource("in", given.get("in"));
        topology.addProcessor("count", () -> new Counter(dedupe ? window : 0), "in");
        topology.addStateStore(cached(counts, cached), "count");
        if (dedupe) {
            Duration bucket = Duration.ofMillis(window / BUCKETS);
            var seen = Stores.windowStoreBuilder(
                    Stores.persistentWindowStore(SEEN, Duration.ofMillis(window).plus(bucket), bucket, false),
                    Serdes.ByteArray(), Serdes.ByteArray());
            // Ids are written once and read once, so that a cache in front of them only costs.
            topology.addStateStore(seen.withCachingDisabled(), "count");
        }
        topology.addSink("out", given.get("out"), "count");
        return topology;
    }

    private static StoreBuilder<?> cached(StoreBuilder<?> builder, boolean cached) {
        return cached ? builder.withCachingEnabled() : builder.withCachingDisabled();
    }

    /** Counts per key; with a window, drops records whose id was seen within it. */
    private static final class Counter implements Processor<byte[], byte[], byte[], byte[]> {
        private final long window;
        private ProcessorContext<byte[], byte[]> context;
        private KeyValueStore<byte[], byte[]> counts;
        private WindowStore<byte[], byte[]> seen;

        Counter(long window) {
            this.window = window;
        }

        @Override
        public void init(ProcessorContext<byte[], byte[]> context) {
            this.context = context;
            counts = context.getStateStore(COUNTS);
            if (window > 0) {
                seen = context.getStateStore(SEEN);
            }
        }

        @Override
        public void process(Record<byte[], byte[]> record) {
            byte[] value = record.value();
            if (window > 0 && known(Arrays.copyOf(value, ID_BYTES), record.timestamp())) {
                return;
            }
            byte[] stored = counts.get(record.key());
            long n = stored == null ? 1 : ByteBuffer.wrap(stored).getLong() + 1;
            counts.put(record.key(), ByteBuffer.allocate(8).putLong(n).array());
            byte[] output = ByteBuffer.allocate(8 + value.length).putLong(n).put(value).array();
            context.forward(record.withValue(output));
        }

        /**
         * Looks an id up where it can be. An id is stored under the beginning of its bucket of time, so
         * that it is found by point lookups, which Bloom filters answer. A range, which is the shorter
         * program, opens an iterator on every segment of the store for every record, and is several
         * times slower.
         */
        private boolean known(byte[] id, long at) {
            long width = window / BUCKETS;
            long newest = at - at % width;
            for (int back = 0; back <= BUCKETS; back++) {
                if (seen.fetch(id, newest - back * width) != null) {
                    return true;
                }
            }
            seen.put(id, HERE, newest);
            return false;
        }
    }
}
