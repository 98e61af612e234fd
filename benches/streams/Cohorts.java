import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.ZoneId;
import java.util.Arrays;
import java.util.Map;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericRecord;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.processor.PunctuationType;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueIterator;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;

/**
 * The six default cohorts by hand: one store of customers, one of deadlines, a change and a row of the members for each
 * entry and exit. Whoever is among the best is told by a fixed sum, and changes carry no reasons: both are less work than
 * cohortd does.
 */
public final class Cohorts implements Processor<String, byte[], String, byte[]> {
    private static final long HOUR = 3_600_000L;
    private static final long DAY = 24 * HOUR;
    private static final long NONE = Long.MIN_VALUE;
    private static final long NEVER = Long.MAX_VALUE;
    private static final int COHORTS = 6;
    private static final int SIGNED_UP = 0;
    private static final int STUCK = 1;
    private static final int AT_RISK = 2;
    private static final int BEST = 3;
    private static final int VISITORS = 4;
    private static final int TO_WIN_BACK = 5;
    private static final String[] NAMES = {
        "new_signups", "onboarding_stuck", "recurring_at_risk", "vip", "recent_visitors_no_purchase", "re_engageable"
    };
    /** Others are evaluated after those whose members they depend on. */
    private static final int[] ORDER = {STUCK, SIGNED_UP, AT_RISK, BEST, VISITORS, TO_WIN_BACK};
    private static final double BEST_FROM = 600;
    private static final double BEST_STAY = 450;
    private static final ZoneId ZONE = ZoneId.of("Europe/Paris");
    private static final Map<String, Boolean> ACTIVITY = Map.of("visit", true, "product_viewed", true, "login", true,
        "feature_used", true, "email_clicked", true, "purchase", true);

    /** What is known of a customer. */
    private static final class Customer {
        long signup = NONE;
        long started = NONE;
        long step = NONE;
        long completed = NONE;
        long unsubscribed = NONE;
        long visit = NONE;
        long active = NONE;
        long deadline = NEVER;
        int sequence;
        int stuckTimes;
        int members;
        final long[] entered = new long[COHORTS];
        final long[] left = new long[COHORTS];
        int purchases;
        long[] purchaseTimes = new long[4];
        double[] amounts = new double[4];
        int days;
        int[] visitDays = new int[16];

        Customer() {
            Arrays.fill(entered, NONE);
            Arrays.fill(left, NONE);
        }

        boolean isIn(int cohort) {
            return (members >> cohort & 1) != 0;
        }

        long lastPurchase() {
            return purchases == 0 ? NONE : purchaseTimes[purchases - 1];
        }

        byte[] write(ByteBuffer out) {
            out.clear();
            out.putLong(signup).putLong(started).putLong(step).putLong(completed).putLong(unsubscribed).putLong(visit);
            out.putLong(active).putLong(deadline).putInt(sequence).putInt(stuckTimes).putInt(members);
            for (int i = 0; i < COHORTS; i++) {
                out.putLong(entered[i]).putLong(left[i]);
            }
            out.putInt(purchases);
            for (int i = 0; i < purchases; i++) {
                out.putLong(purchaseTimes[i]).putDouble(amounts[i]);
            }
            out.putInt(days);
            for (int i = 0; i < days; i++) {
                out.putInt(visitDays[i]);
            }
            return Arrays.copyOf(out.array(), out.position());
        }

        static Customer read(byte[] bytes) {
            Customer c = new Customer();
            if (bytes == null) {
                return c;
            }
            ByteBuffer in = ByteBuffer.wrap(bytes);
            c.signup = in.getLong();
            c.started = in.getLong();
            c.step = in.getLong();
            c.completed = in.getLong();
            c.unsubscribed = in.getLong();
            c.visit = in.getLong();
            c.active = in.getLong();
            c.deadline = in.getLong();
            c.sequence = in.getInt();
            c.stuckTimes = in.getInt();
            c.members = in.getInt();
            for (int i = 0; i < COHORTS; i++) {
                c.entered[i] = in.getLong();
                c.left[i] = in.getLong();
            }
            c.purchases = in.getInt();
            c.purchaseTimes = new long[c.purchases + 4];
            c.amounts = new double[c.purchases + 4];
            for (int i = 0; i < c.purchases; i++) {
                c.purchaseTimes[i] = in.getLong();
                c.amounts[i] = in.getDouble();
            }
            c.days = in.getInt();
            for (int i = 0; i < c.days; i++) {
                c.visitDays[i] = in.getInt();
            }
            return c;
        }
    }

    private final Schema schema;
    private final ByteBuffer buffer = ByteBuffer.allocate(1 << 20);
    private Events.Reader reader;
    private ProcessorContext<String, byte[]> context;
    private KeyValueStore<String, byte[]> customers;
    private KeyValueStore<Bytes, byte[]> deadlines;
    private long until;

    private Cohorts(Schema schema) {
        this.schema = schema;
    }

    @Override
    public void init(ProcessorContext<String, byte[]> context) {
        this.context = context;
        reader = new Events.Reader(schema);
        customers = context.getStateStore("customers");
        deadlines = context.getStateStore("deadlines");
        context.schedule(Duration.ofMinutes(1), PunctuationType.STREAM_TIME, this::fire);
    }

    @Override
    public void process(Record<String, byte[]> record) {
        GenericRecord event = reader.read(record.value());
        long at = (Long) event.get("occurred_at");
        String name = event.get("event").toString();
        Customer c = Customer.read(customers.get(record.key()));
        long before = c.deadline;
        while (c.deadline <= at) {
            decide(record.key(), c, c.deadline);
        }
        feed(c, name, at, event);
        decide(record.key(), c, at);
        store(record.key(), c, before);
    }

    private void feed(Customer c, String name, long at, GenericRecord event) {
        if (ACTIVITY.containsKey(name)) {
            c.active = Math.max(c.active, at);
        }
        switch (name) {
            case "signup" -> c.signup = Math.max(c.signup, at);
            case "onboarding_started" -> c.started = Math.max(c.started, at);
            case "onboarding_completed" -> c.completed = Math.max(c.completed, at);
            case "unsubscribed" -> c.unsubscribed = Math.max(c.unsubscribed, at);
            case "onboarding_step_completed" -> {
                if (property(event, "step") == 2) {
                    c.step = Math.max(c.step, at);
                }
            }
            case "visit" -> {
                c.visit = Math.max(c.visit, at);
                seen(c, at);
            }
            case "product_viewed" -> seen(c, at);
            case "purchase" -> bought(c, at, property(event, "amount"));
            default -> { }
        }
    }

    private static double property(GenericRecord event, String name) {
        for (Map.Entry<?, ?> entry : ((Map<?, ?>) event.get("properties")).entrySet()) {
            if (entry.getKey().toString().equals(name) && entry.getValue() instanceof Number number) {
                return number.doubleValue();
            }
        }
        return 0;
    }

    private static int day(long at) {
        return (int) java.time.Instant.ofEpochMilli(at).atZone(ZONE).toLocalDate().toEpochDay();
    }

    private static void seen(Customer c, long at) {
        int day = day(at);
        int kept = 0;
        boolean known = false;
        for (int i = 0; i < c.days; i++) {
            if (c.visitDays[i] > day - 15) {
                known |= c.visitDays[i] == day;
                c.visitDays[kept++] = c.visitDays[i];
            }
        }
        c.days = kept;
        if (!known && c.days < c.visitDays.length) {
            c.visitDays[c.days++] = day;
        }
    }

    private static void bought(Customer c, long at, double amount) {
        int from = 0;
        while (from < c.purchases && c.purchaseTimes[from] <= at - 365 * DAY) {
            from++;
        }
        int left = c.purchases - from;
        if (from > 0) {
            System.arraycopy(c.purchaseTimes, from, c.purchaseTimes, 0, left);
            System.arraycopy(c.amounts, from, c.amounts, 0, left);
        }
        if (left == c.purchaseTimes.length) {
            c.purchaseTimes = Arrays.copyOf(c.purchaseTimes, left + 4);
            c.amounts = Arrays.copyOf(c.amounts, left + 4);
        }
        int place = left;
        while (place > 0 && c.purchaseTimes[place - 1] > at) {
            c.purchaseTimes[place] = c.purchaseTimes[place - 1];
            c.amounts[place] = c.amounts[place - 1];
            place--;
        }
        c.purchaseTimes[place] = at;
        c.amounts[place] = amount;
        c.purchases = left + 1;
    }

    private static long usualGap(Customer c) {
        int count = Math.min(8, c.purchases - 1);
        if (count < 3) {
            return 45 * DAY;
        }
        long[] gaps = new long[count];
        for (int i = 0; i < count; i++) {
            gaps[i] = c.purchaseTimes[c.purchases - 1 - i] - c.purchaseTimes[c.purchases - 2 - i];
        }
        Arrays.sort(gaps);
        return count % 2 == 1 ? gaps[count / 2] : (gaps[count / 2 - 1] + gaps[count / 2]) / 2;
    }

    /** Enters and leaves what is to be entered and left at this instant, and finds the next one. */
    private void decide(String customer, Customer c, long at) {
        c.deadline = NEVER;
        for (int cohort : ORDER) {
            until = NEVER;
            boolean member = holds(cohort, c, at);
            c.deadline = Math.min(c.deadline, until);
            if (member != c.isIn(cohort)) {
                c.members ^= 1 << cohort;
                c.sequence++;
                if (member) {
                    c.entered[cohort] = at;
                    c.stuckTimes += cohort == STUCK ? 1 : 0;
                } else {
                    c.left[cohort] = at;
                }
                tell(customer, c, cohort, member, at);
                until = NEVER;
                holds(cohort, c, at);
                c.deadline = Math.min(c.deadline, until);
            }
        }
        c.deadline = Math.max(c.deadline, at + 1);
    }

    private boolean passed(long instant, long at) {
        if (instant > at) {
            until = Math.min(until, instant);
        }
        return instant <= at;
    }

    private boolean holds(int cohort, Customer c, long at) {
        long last = c.lastPurchase();
        switch (cohort) {
            case SIGNED_UP:
                return c.signup != NONE && !passed(c.signup + 7 * DAY, at) && !c.isIn(STUCK)
                    && last < c.signup && c.completed < c.signup;
            case STUCK:
                if (c.started == NONE || c.completed >= c.started || c.unsubscribed >= c.started) {
                    return false;
                }
                if (c.isIn(STUCK)) {
                    return !passed(c.entered[STUCK] + 14 * DAY, at);
                }
                return c.stuckTimes == 0 && passed(c.started + 72 * HOUR, at)
                    && (c.step < c.started || c.step > c.started + 72 * HOUR);
            case AT_RISK: {
                if (c.purchases < 2 || c.unsubscribed != NONE) {
                    return false;
                }
                long gap = usualGap(c);
                boolean due = passed(last + gap * 3 / 2 + 1, at) && !passed(last + gap * 3, at);
                return c.isIn(AT_RISK) ? due : due && (c.left[AT_RISK] == NONE || passed(c.left[AT_RISK] + 14 * DAY, at));
            }
            case BEST: {
                double sum = 0;
                int count = 0;
                for (int i = 0; i < c.purchases; i++) {
                    if (!passed(c.purchaseTimes[i] + 365 * DAY, at)) {
                        sum += c.amounts[i];
                        count++;
                    }
                }
                return c.isIn(BEST) ? sum >= BEST_STAY || !passed(c.entered[BEST] + 30 * DAY, at)
                    : sum >= BEST_FROM && count >= 3;
            }
            case VISITORS: {
                int today = day(at);
                int count = 0;
                for (int i = 0; i < c.days; i++) {
                    if (c.visitDays[i] > today - 14) {
                        count++;
                        long ends = (c.visitDays[i] + 14L) * DAY;
                        if (ends > at) {
                            until = Math.min(until, ends);
                        }
                    }
                }
                return count >= 2 && (last == NONE || passed(last + 30 * DAY, at)) && c.visit != NONE
                    && passed(c.visit + 2 * HOUR + 1, at);
            }
            default:
                return last != NONE && passed(c.active + 90 * DAY, at) && !passed(c.active + 365 * DAY, at)
                    && c.unsubscribed == NONE && !c.isIn(AT_RISK) && passed(last + DAY, at);
        }
    }

    private void tell(String customer, Customer c, int cohort, boolean member, long at) {
        String change = "{\"customer_id\":\"" + customer + "\",\"cohort\":\"" + NAMES[cohort] + "\",\"change\":\""
            + (member ? "ENTERED" : "EXITED") + "\",\"occurred_at\":" + at + ",\"sequence\":" + c.sequence
            + ",\"entered_at\":" + c.entered[cohort] + "}";
        byte[] value = change.getBytes(StandardCharsets.UTF_8);
        context.forward(new Record<>(customer, value, at), "changes");
        context.forward(new Record<>(NAMES[cohort] + "/" + customer, member ? value : null, at), "members");
    }

    private void store(String customer, Customer c, long before) {
        customers.put(customer, c.write(buffer));
        if (c.deadline != before) {
            if (before != NEVER) {
                deadlines.delete(timer(before, customer));
            }
            if (c.deadline != NEVER) {
                deadlines.put(timer(c.deadline, customer), new byte[0]);
            }
        }
    }

    private static Bytes timer(long at, String customer) {
        byte[] id = customer.getBytes(StandardCharsets.UTF_8);
        return Bytes.wrap(ByteBuffer.allocate(8 + id.length).putLong(at).put(id).array());
    }

    private void fire(long now) {
        java.util.List<String> due = new java.util.ArrayList<>();
        Bytes first = Bytes.wrap(new byte[8]);
        Bytes last = Bytes.wrap(ByteBuffer.allocate(8).putLong(now).array());
        try (KeyValueIterator<Bytes, byte[]> found = deadlines.range(first, last)) {
            while (found.hasNext()) {
                byte[] key = found.next().key.get();
                due.add(new String(key, 8, key.length - 8, StandardCharsets.UTF_8));
            }
        }
        for (String customer : due) {
            Customer c = Customer.read(customers.get(customer));
            long before = c.deadline;
            while (c.deadline <= now) {
                decide(customer, c, c.deadline);
            }
            store(customer, c, before);
        }
    }

    /** BOOTSTRAP FOLDER EVENT.avsc INPUT */
    public static void main(String[] args) throws Exception {
        Schema schema = Events.schema(args[2]);
        Topology topology = new Topology();
        topology.addSource("events", Serdes.String().deserializer(), Serdes.ByteArray().deserializer(), args[3]);
        topology.addProcessor("cohorts", () -> new Cohorts(schema), "events");
        topology.addStateStore(Stores.keyValueStoreBuilder(Stores.persistentKeyValueStore("customers"), Serdes.String(), Serdes.ByteArray()).withCachingEnabled(), "cohorts");
        topology.addStateStore(Stores.keyValueStoreBuilder(Stores.persistentKeyValueStore("deadlines"), Serdes.Bytes(), Serdes.ByteArray()).withCachingEnabled(), "cohorts");
        topology.addSink("changes", args[3] + "-streams-changes", Serdes.String().serializer(), Serdes.ByteArray().serializer(), "cohorts");
        topology.addSink("members", args[3] + "-streams-members", Serdes.String().serializer(), Serdes.ByteArray().serializer(), "cohorts");
        Events.run(topology, args[0], args[3] + "-streams", args[1], 1);
    }
}
