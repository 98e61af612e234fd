import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericDatumWriter;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.io.BinaryDecoder;
import org.apache.avro.io.BinaryEncoder;
import org.apache.avro.io.DecoderFactory;
import org.apache.avro.io.EncoderFactory;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;

/** What the programs have in common: events in Avro with a registry's prefix, and how a program is run. */
final class Events {
    private static final int PREFIX = 5;

    private Events() {}

    static Schema schema(String file) throws IOException {
        return new Schema.Parser().parse(Files.readString(Path.of(file)));
    }

    /** Reads records of one schema; for one thread. */
    static final class Reader {
        private final GenericDatumReader<GenericRecord> reader;
        private BinaryDecoder decoder;
        private GenericRecord record;

        Reader(Schema schema) {
            reader = new GenericDatumReader<>(schema);
        }

        /** Good until the next call. */
        GenericRecord read(byte[] value) {
            try {
                decoder = DecoderFactory.get().binaryDecoder(value, PREFIX, value.length - PREFIX, decoder);
                record = reader.read(record, decoder);
                return record;
            } catch (IOException e) {
                throw new IllegalStateException(e);
            }
        }
    }

    /** Writes records of one schema; for one thread. */
    static final class Writer {
        private final GenericDatumWriter<GenericRecord> writer;
        private final ByteArrayOutputStream out = new ByteArrayOutputStream(256);
        private final byte[] prefix = ByteBuffer.allocate(PREFIX).put((byte) 0).putInt(1).array();
        private BinaryEncoder encoder;

        Writer(Schema schema) {
            writer = new GenericDatumWriter<>(schema);
        }

        byte[] write(GenericRecord record) {
            try {
                out.reset();
                out.write(prefix);
                encoder = EncoderFactory.get().binaryEncoder(out, encoder);
                writer.write(record, encoder);
                encoder.flush();
                return out.toByteArray();
            } catch (IOException e) {
                throw new IllegalStateException(e);
            }
        }
    }

    /** A customer's event. */
    static GenericRecord event(Schema schema, String id, String customer, String name, long at, String source, Map<String, Object> properties) {
        GenericRecord event = new GenericData.Record(schema);
        event.put("event_id", id);
        event.put("customer_id", customer);
        event.put("event", name);
        event.put("occurred_at", at);
        event.put("source", source);
        event.put("properties", properties);
        return event;
    }

    static Map<String, Object> property(String name, Object value) {
        Map<String, Object> properties = new HashMap<>(2);
        properties.put(name, value);
        return properties;
    }

    /** Runs exactly once, by one thread, compressed as cohortd's records are, until it is told to stop. */
    static void run(Topology topology, String bootstrap, String application, String folder, int threads) throws InterruptedException {
        Properties settings = new Properties();
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, bootstrap);
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, application);
        settings.put(StreamsConfig.STATE_DIR_CONFIG, folder);
        settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, threads);
        settings.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
        settings.put(StreamsConfig.consumerPrefix("auto.offset.reset"), "earliest");
        settings.put(StreamsConfig.producerPrefix("compression.type"), "lz4");
        KafkaStreams streams = new KafkaStreams(topology, settings);
        CountDownLatch ended = new CountDownLatch(1);
        streams.setUncaughtExceptionHandler(e -> {
            e.printStackTrace();
            ended.countDown();
            return org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
        });
        Runtime.getRuntime().addShutdownHook(new Thread(streams::close));
        streams.start();
        ended.await();
        System.exit(1);
    }
}
