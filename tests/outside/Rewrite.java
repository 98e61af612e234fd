import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.io.InputStreamReader;
import java.util.HexFormat;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericDatumWriter;
import org.apache.avro.io.BinaryEncoder;
import org.apache.avro.io.DecoderFactory;
import org.apache.avro.io.EncoderFactory;

/**
 * Reads lines of a schema, a tab and a record's bytes in hex, and prints the record as Java's Avro writes it: by its usual
 * encoder, then, after a space, in blocks whose bytes are counted.
 */
public final class Rewrite {
    public static void main(String[] args) throws Exception {
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            String[] parts = line.split("\t", -1);
            Schema schema = new Schema.Parser().parse(parts[0]);
            byte[] bytes = HexFormat.of().parseHex(parts[1]);
            Object record = new GenericDatumReader<>(schema).read(null, DecoderFactory.get().binaryDecoder(bytes, null));
            ByteArrayOutputStream usual = new ByteArrayOutputStream();
            write(schema, record, EncoderFactory.get().binaryEncoder(usual, null));
            ByteArrayOutputStream blocks = new ByteArrayOutputStream();
            write(schema, record, EncoderFactory.get().blockingBinaryEncoder(blocks, null));
            System.out.println(HexFormat.of().formatHex(usual.toByteArray()) + " " + HexFormat.of().formatHex(blocks.toByteArray()));
        }
    }

    private static void write(Schema schema, Object record, BinaryEncoder encoder) throws Exception {
        new GenericDatumWriter<>(schema).write(record, encoder);
        encoder.flush();
    }
}
