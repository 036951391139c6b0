package dev.handoff.bench;

import java.util.HashMap;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;

/**
 * The benchmark's state machines on Kafka Streams, exactly once. It works until it is asked to end, and
 * takes its settings as name=value arguments.
 */
public final class Main {
    private Main() {}

    public static void main(String[] args) throws Exception {
        Map<String, String> given = new HashMap<>();
        for (String arg : args) {
            int at = arg.indexOf('=');
            given.put(arg.substring(0, at), arg.substring(at + 1));
        }
        KafkaStreams streams = new KafkaStreams(Machines.topology(given), config(given));
        CountDownLatch failed = new CountDownLatch(1);
        streams.setUncaughtExceptionHandler(e -> {
            e.printStackTrace();
            failed.countDown();
            return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
        });
        Runtime.getRuntime().addShutdownHook(new Thread(streams::close));
        streams.start();
        failed.await();
        Runtime.getRuntime().halt(1);
    }

    /** Tuned for throughput as Kafka Streams' documentation says; docs/bench.md has the reasons. */
    private static Properties config(Map<String, String> given) {
        Properties p = new Properties();
        p.put(StreamsConfig.APPLICATION_ID_CONFIG, given.get("application"));
        p.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, given.get("brokers"));
        p.put(StreamsConfig.STATE_DIR_CONFIG, given.get("dir"));
        p.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        p.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, Runtime.getRuntime().availableProcessors());
        p.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
        p.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, Long.parseLong(given.get("commit")));
        p.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, Long.parseLong(given.get("cache")));
        p.put(StreamsConfig.ROCKSDB_CONFIG_SETTER_CLASS_CONFIG, RocksSettings.class);
        p.put(StreamsConfig.DEFAULT_KEY_SERDE_CLASS_CONFIG, Serdes.ByteArraySerde.class);
        p.put(StreamsConfig.DEFAULT_VALUE_SERDE_CLASS_CONFIG, Serdes.ByteArraySerde.class);
        // Records of tasks with less buffered than this are not waited for.
        p.put(StreamsConfig.MAX_TASK_IDLE_MS_CONFIG, -1L);
        p.put(StreamsConfig.BUFFERED_RECORDS_PER_PARTITION_CONFIG, 10_000);

        producer(p, ProducerConfig.ACKS_CONFIG, "all");
        producer(p, ProducerConfig.LINGER_MS_CONFIG, given.get("linger"));
        producer(p, ProducerConfig.BATCH_SIZE_CONFIG, 256 << 10);
        producer(p, ProducerConfig.BUFFER_MEMORY_CONFIG, 128L << 20);
        producer(p, ProducerConfig.COMPRESSION_TYPE_CONFIG, given.get("compression"));

        consumer(p, ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "earliest");
        consumer(p, ConsumerConfig.MAX_POLL_RECORDS_CONFIG, 10_000);
        consumer(p, ConsumerConfig.MAX_PARTITION_FETCH_BYTES_CONFIG, 4 << 20);
        consumer(p, ConsumerConfig.RECEIVE_BUFFER_CONFIG, 1 << 20);
        // A killed instance comes back as the same member, at once.
        p.put(StreamsConfig.mainConsumerPrefix(ConsumerConfig.GROUP_INSTANCE_ID_CONFIG), "1");
        return p;
    }

    private static void producer(Properties p, String name, Object value) {
        p.put(StreamsConfig.producerPrefix(name), value);
    }

    private static void consumer(Properties p, String name, Object value) {
        p.put(StreamsConfig.consumerPrefix(name), value);
    }
}
