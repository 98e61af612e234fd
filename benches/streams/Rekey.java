import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.ObjectReader;
import java.io.IOException;
import java.time.Instant;
import java.util.Map;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericRecord;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.KeyValueMapper;
import org.apache.kafka.streams.kstream.Produced;

/** Orders in Avro and clicks in JSON become customers' events, keyed by customer, in the order in which they come. */
public final class Rekey {
    @JsonIgnoreProperties(ignoreUnknown = true)
    static final class Click {
        public String userId;
        public String event;
        public String messageId;
        public String timestamp;
        public Properties properties;
    }

    @JsonIgnoreProperties(ignoreUnknown = true)
    static final class Properties {
        public String sku;
    }

    private static final Map<String, String> NAMES = Map.of("Product Viewed", "product_viewed", "Page Viewed", "visit");

    /** BOOTSTRAP FOLDER ORDER.avsc EVENT.avsc */
    public static void main(String[] args) throws Exception {
        Schema orderSchema = Events.schema(args[2]);
        Schema eventSchema = Events.schema(args[3]);
        ThreadLocal<Events.Reader> reader = ThreadLocal.withInitial(() -> new Events.Reader(orderSchema));
        ThreadLocal<Events.Writer> writer = ThreadLocal.withInitial(() -> new Events.Writer(eventSchema));
        ObjectReader clicks = new ObjectMapper().readerFor(Click.class);

        KeyValueMapper<byte[], byte[], Iterable<KeyValue<String, byte[]>>> ofOrder = (key, value) -> {
            GenericRecord order = reader.get().read(value);
            if (!order.get("status").toString().equals("PAID")) {
                return java.util.List.of();
            }
            String customer = ((GenericRecord) order.get("buyer")).get("id").toString();
            Object amount = ((GenericRecord) order.get("total")).get("value");
            GenericRecord event = Events.event(eventSchema, order.get("order_id").toString(), customer, "purchase",
                (Long) order.get("paid_at"), "orders", Events.property("amount", amount));
            return java.util.List.of(KeyValue.pair(customer, writer.get().write(event)));
        };
        KeyValueMapper<byte[], byte[], Iterable<KeyValue<String, byte[]>>> ofClick = (key, value) -> {
            Click click;
            try {
                click = clicks.readValue(value);
            } catch (IOException e) {
                throw new IllegalStateException(e);
            }
            String name = NAMES.get(click.event);
            if (name == null || click.userId == null) {
                return java.util.List.of();
            }
            GenericRecord event = Events.event(eventSchema, click.messageId, click.userId, name,
                Instant.parse(click.timestamp).toEpochMilli(), "clicks", Events.property("sku", click.properties.sku));
            return java.util.List.of(KeyValue.pair(click.userId, writer.get().write(event)));
        };
        StreamsBuilder builder = new StreamsBuilder();
        Consumed<byte[], byte[]> bytes = Consumed.with(Serdes.ByteArray(), Serdes.ByteArray());
        Produced<String, byte[]> keyed = Produced.with(Serdes.String(), Serdes.ByteArray());
        builder.stream("orders", bytes).flatMap(ofOrder).to("rekeyed", keyed);
        builder.stream("clicks", bytes).flatMap(ofClick).to("rekeyed", keyed);
        Events.run(builder.build(), args[0], "rekey", args[1], 1);
    }
}
