//! What `--help` says of a command below its options.

pub(super) const PROGRAM: &str = "\
Examples:
  cohortd demo                                       a simulated shop, nothing to set up
  cohortd replay --rules rules.toml events.jsonl.gz  try rules on past events, without Kafka
  cohortd explain --rules rules.toml --customer c1 events.jsonl.gz  which cohorts c1 is in, and why
  cohortd score --rules rules.toml events.jsonl.gz   which customers are at risk of churning
  cohortd changes --config cohortd.toml --follow     who enters and leaves, as it happens
  cohortd check --config cohortd.toml                what is wrong, and what the rules cost
  cohortd run --config cohortd.toml                  the daemon

Settings, in increasing order of precedence: the built-in defaults, --config FILE, the environment
(COHORTD_KAFKA__GROUP_ID=shop sets kafka.group_id), --set kafka.group_id=shop.
`cohortd dump-config` prints every setting and where its value comes from.

Results go to stdout, everything else to stderr.
Exit codes: 0 success, 1 failure while running, 64 wrong usage, 78 wrong configuration
(settings, rules, schemas, topics).";

pub(super) const RUN: &str = "\
SIGTERM or SIGINT drains and exits with 0; a second one exits at once.

Examples:
  cohortd run --config /etc/cohortd.toml
  COHORTD_KAFKA__BOOTSTRAP_SERVERS=kafka:9092 cohortd run --set rules.file=rules.toml
  cohortd run --config /etc/cohortd.toml --accept-rules   once, to confirm a file that removes most cohorts";

pub(super) const CHECK: &str = "\
Prints the cohorts in the order in which they are evaluated, and what is stored for each customer.
All mistakes in the rules are shown at once, each with its position; exit code 78. Rules that are valid
but probably not intended are shown in the same form as warnings, on stderr; exit code 0.

With --sample, the rules are checked against events in files, read as `replay` reads them (also --source): how many customers
match each condition at the end of the sample, with warnings about events and properties that the sample does
not contain, has in another type, or lacks in half of the events.

With --connect, also checks whether brokers, credentials, topics, permissions and the registry are as `run` needs
them, which topics it would create, whether the state of the group continues the input, and what would become of the
first 1,000 records of the input. All problems are reported at once. Nothing is created or registered, and no consumer
group is joined. Exit code 0: ready; 78: something must be fixed first; 1: something did not answer. Warnings about the
rules are those of `check` without --connect.

A sources file given with --sources, or sources.toml beside the rules, is checked, too, and its sources are described.

With --size, estimates the memory, disk, topics, network, lanes and partitions for the given number of customers and
events under these rules, each with a range and the basis of the estimate. A lane is a processing thread. With --sample
too, the size of a customer and the rate of changes are measured on the sample.

Examples:
  cohortd check --rules rules.toml
  cohortd check --rules rules.toml --sample events.jsonl.gz
  cohortd check --rules rules.toml --size --customers 1000000 --events-per-second 20
  cohortd check --rules rules.toml --deny-warnings       in a pipeline
  cohortd check --config /etc/cohortd.toml
  cohortd check --config /etc/cohortd.toml --connect     before the first start";

pub(super) const REPLAY: &str = "\
EVENTS are JSON Lines or Avro object container files, plain, gzip or zstd; `-` is standard input. One line:
  {\"event_id\": \"e1\", \"customer_id\": \"c1\", \"event\": \"purchase\", \"time\": 1700000000000,
   \"properties\": {\"amount\": 12.5}}
time is in milliseconds since 1970 or ISO-8601; event_id, source and properties are optional.
INSTANT is such a time, or a date, which stands for midnight UTC.

Files of other shapes are read with --source NAME, as `run` gathers them: JSON Lines, Avro containers, or CSV with a header
line. --source NAME=FILE reads one file so, beside others; several sources become one log.

With --topic NAME, records are read from a topic instead of files: each partition is processed on its own, in
the order of its records and up to its last event; the summary adds the partitions up. Only committed records
are read; no consumer group is joined and nothing is committed. Records that `run` would send to the dead letters
are counted by reason. A whole number is an offset, in every partition; TIME is the timestamp of a record.
Rules that rank customers rank those of each partition separately, whereas `run` ranks all customers.

Changes go to stdout as JSON Lines, in the order decided; a summary goes to stderr. The same files and rules
always give the same bytes. Where the rules have [churn], changes of the risk level are included; without
--params the model is fitted again each Monday, at midnight UTC of stream time, on past data only. Of the
settings, time.* and dedupe.ids apply, as in `run`; there is no wall clock, so no event is in the future.

With --compare OTHER, both rules files are run over the same events, and stdout has one line for each customer
and cohort whose results differ, sorted by cohort, then customer; `a` is --rules, `b` is OTHER:
  {\"cohort\": \"vip\", \"customer_id\": \"c1\", \"difference\": \"only_b\",
   \"a\": {\"entered\": 0, \"first_entered_at\": null, \"in\": false},
   \"b\": {\"entered\": 2, \"first_entered_at\": 1700000000000, \"in\": true}}
difference is only_a or only_b (the customer entered with one file only), or otherwise (entered at another time
or another number of times, or is a member at the end with one file only).

Examples:
  cohortd replay --rules rules.toml events.jsonl.gz > changes.jsonl
  cohortd replay --rules rules.toml --compare draft.toml events.jsonl.gz > differences.jsonl
  cohortd replay --config cohortd.toml --compare draft.toml --topic customer-events > differences.jsonl
  zcat events-*.gz | cohortd replay --rules rules.toml --until 2026-12-31 -
  cohortd replay --rules rules.toml --source orders=orders.avro --source tickets=tickets.csv > changes.jsonl
  cohortd replay --rules rules.toml --as-is --set time.arrives_within='5 minutes' topic.avro
  cohortd replay --config cohortd.toml --topic customer-events --from 2026-12-01 > changes.jsonl";

pub(super) const EXPLAIN: &str = "\
EVENTS, --source and INSTANT are as for `replay`; events are applied in order of time. Text goes to stdout in the language
chosen; with --json one object, in both languages, with times in milliseconds. For each condition it shows the value
found, whether the condition holds, and what would change that; at the end, the next change if no event follows.
With --topic NAME the records of the customer's partition are read instead of files, in their order.

Examples:
  cohortd explain --rules rules.toml --customer c1 events.jsonl.gz
  cohortd explain --rules rules.toml --customer c1 --cohort vip --at 2026-01-14 --lang fr events.jsonl
  cohortd explain --rules rules.toml --customer c1 --json events.jsonl | jq .cohorts[0].conditions
  cohortd explain --config cohortd.toml --customer c1 --topic customer-events";

pub(super) const CHANGES: &str = "\
Reads the topic of changes (topics.changes) at the brokers of the settings: committed records only, without a consumer
group. One line is one change: when it happened, the customer, the cohort, and what happened with the reason. Each
partition is in its order. TIME is when a change was written, which for a change decided late is not when it happened.

Examples:
  cohortd changes --config cohortd.toml --follow
  cohortd changes --config cohortd.toml --customer c1
  cohortd changes --config cohortd.toml --cohort vip --from 2026-12-01 --json | jq .reason";

pub(super) const SCORE: &str = "\
EVENTS, --source and INSTANT are as for `replay`; events are applied in order of time. The rules must have [churn]; their
cohorts are not used. All purchases of a customer on one calendar day, in the rules' time zone, count as one.
Without --params, the parameters are fitted first, as `fit` does, on the events up to --at.

One line for each customer with activity goes to stdout, sorted by customer id; numbers have full precision:
  {\"customer_id\": \"c1\", \"at\": 1700000000000, \"model\": \"mbg_nbd\", \"x\": 2, \"t_x_days\": 30.0, \"t_days\": 38.5,
   \"alive\": 0.73, \"p_none\": {\"30\": 0.71, \"90\": 0.49}, \"expected\": {\"30\": 0.39, \"90\": 1.1, \"360\": 3.6},
   \"spend\": 24.7, \"clv\": 84.1, \"level\": \"low\", \"crossings\": [{\"level\": \"medium\", \"at\": 1704000000000}],
   \"provisional\": false}
x: purchases after the first, the last of them t_x_days after it; t_days: time since the first purchase; a model of
usage has activity and exposure_days instead. p_none: the probability of no purchase within that many days; expected:
the expected number of purchases; spend: the expected value of the next purchase; clv: the value of one year, in
30-day months, each discounted by 1 % more than the one before; crossings: when each higher level is reached without
any further event.

Examples:
  cohortd score --rules rules.toml events.jsonl.gz > scores.jsonl
  cohortd score --rules rules.toml --params params.toml --at 2026-12-31 --horizon 45 events.jsonl";

pub(super) const FIT: &str = "\
EVENTS, --source and INSTANT are as for `replay`; events are applied in order of time. Which events count as coming back is set
by [churn] in the rules, or by --on, with days in UTC. Parameters go to stdout as TOML for --params; with --json as one
object, with customers, purchases and the log-likelihood, times in days. Of more than 5,000 customers a sample of about
5,000 is used, selected by a hash of their ids.

An evaluation of the fit goes to stderr: the model is also fitted on the data up to one horizon before the end, and its
predictions are compared with what followed.

Examples:
  cohortd fit --rules rules.toml events.jsonl.gz > params.toml
  cohortd fit --model mbg_nbd --on purchase --amount purchase.amount --until 2026-12-31 events.jsonl
  cohortd fit --model fgp --on 'any of (login, feature_used)' --json events.jsonl";

pub(super) const SOURCES: &str = "\
A sources file says for each topic of another shape where the customer, the time, the event's name and its properties
lie. docs/sources.md describes it. `run` gathers these topics into one once gather.sources names the file.

Examples:
  cohortd sources show                               the presets, and the sources of the file
  cohortd sources show segment                       one preset
  cohortd sources try orders orders.avro --sources sources.toml
  cohortd sources try orders --topic                 the first records of its topic
  cohortd sources ignore orders                      go on without a source that stands still
  cohortd sources reset shop.orders                  go on with a topic that was made anew";

pub(super) const SOURCES_SHOW: &str = "\
A preset is printed as it ships; a source as it is in force, with what its preset adds: it reads as the same source.

Examples:
  cohortd sources show
  cohortd sources show segment
  cohortd sources show orders --sources sources.toml";

pub(super) const SOURCES_TRY: &str = "\
FILE is an Avro object container file for a source in Avro, JSON Lines for one in JSON, or CSV with a header line for either
(*.csv, *.tsv, or --delimiter): plain, gzip, zstd, bzip2 or xz. Keys, headers and what begins with @ exist only on a topic, so
paths to them find nothing in a file. With --topic, the first records of the source's topics are read, from where `kafka.start`
says; no consumer group is joined and nothing is committed.

The result goes to stdout: the first events, each field with the path that it was found by; then how many records were
read, mapped, skipped and refused, by reason; and how many events have each property. Nothing is sent anywhere.
Exit code 1: no record became an event, or a file could not be read to its end.

Examples:
  cohortd sources try orders orders.avro --sources sources.toml
  cohortd sources try clicks clicks.jsonl --sources sources.toml --events 1
  cohortd sources try clicks clicks.jsonl --sources sources.toml --json
  cohortd sources try orders commandes.csv --sources sources.toml --decimal-comma
  cohortd sources try orders --topic --config /etc/cohortd.toml";

pub(super) const SOURCES_IGNORE: &str = "\
Time passes for everybody no faster than for the slowest source. One that stands still, because its topic or the system behind
it is away, holds back the deadlines of all customers. This command goes on without it: what follows is decided on the other
sources alone, so silence of customers may be one of the source. Processes follow within a second, and it holds until it is
undone, also over restarts. What the source still sends is gathered, and counts where it is not too late. Use the same settings
as for `run`.

Examples:
  cohortd sources ignore orders --config /etc/cohortd.toml
  cohortd sources ignore orders --config /etc/cohortd.toml --undo";

pub(super) const SOURCES_RESET: &str = "\
A topic of a source that does not hold the next record to gather is held: it was made anew, retention has dropped records
that were never read, or another program has set the offsets. The others go on. `/health/ready` names the topic, and this
command. Use the same settings as for `run`, and stop every process of the group first.

What was gathered before stays. Records of a topic that was made anew are new ones, from its first on.

Without --yes, the plan is printed to stdout and nothing is changed.

Examples:
  cohortd sources reset shop.orders --config /etc/cohortd.toml
  cohortd sources reset shop.orders --config /etc/cohortd.toml --yes
  cohortd sources reset shop.orders --config /etc/cohortd.toml --from latest --yes";

pub(super) const AUDIT: &str = "\
FILE is JSON Lines or an Avro object container file, plain, gzip, zstd, bzip2 or xz; `-` is standard input. Files whose names
differ only in a date or a number at their end are one source: events-2026-01.jsonl and events-2026-02.jsonl are events.
CSV with a header line is read by its name, or with --delimiter. With --source NAME, what is looked into are the events that a
source of the sources file makes of the records. With --topic NAME, records are read from Kafka with the brokers, registry and
schemas of the settings; no group is joined, and nothing is committed. INSTANT is a date, a time in ISO-8601, or milliseconds
since 1970.

Records are read once, in bounded memory. The report goes to stdout: for each topic its formats, keys and partitions, which
field is the customer, the time, the event's name and the id, every field with its type, the share of records that have it
and about how many different values; copies, times that are wrong; customers that topics have in common; names that are
spelled in several ways; the five events that decisions begin with; events that no rule uses, and rules without events. At
its end stand at most seven findings, by what they cost, each with what to do. No value of a record is shown without
--show-values, only names of fields and events. docs/audit.md describes all of it.

With --propose, a sources file is printed instead, with the reason for each line; `check --sources` accepts it.

Examples:
  cohortd audit orders.jsonl.gz clicks.avro
  cohortd audit --config cohortd.toml --topic shop.orders clicks --from 2026-01-01
  cohortd audit --lang fr --rules rules.toml events.jsonl
  cohortd audit orders.jsonl clicks.jsonl --propose > sources.toml";

pub(super) const RESET: &str = "\
`run` refuses to start when the state does not match the input or the group's offsets, and prints the command
to use. Use the same settings as for `run`, and stop every process of the group first: this command waits until
their sessions have ended (session.timeout.ms, 45 s), and refuses to continue while one is running.

--from keeps the state of every customer. Nothing is published for it, and no record is read twice:
  stored    continue where the state ends: after another program has set or deleted the offsets. Nothing is lost
  earliest  continue at the first record that is not in the state and is still in the input: after retention
            has dropped unread records, or when the input topic was recreated or replaced by another one
  latest    skip everything that is in the input now
  TIME      skip what was written before: 2026-12-31, 2026-12-31T08:00:00Z, or milliseconds since 1970

--rebuild recomputes everything from the input, from kafka.start on, by the newest rules: the contents of changelog,
members and summaries are deleted, and changes are published again, with the same event ids where the decisions are
the same. If partitions were added to the input, first copy it into a new topic, with keys and timestamps, and set
topics.input to that topic: output topics get the same number of partitions.

Without --yes, the plan is printed to stdout and nothing is changed. If the command is interrupted, running it again
continues; until then `run` refuses to start.

Examples:
  cohortd reset --config /etc/cohortd.toml --from stored
  cohortd reset --config /etc/cohortd.toml --from earliest --yes
  cohortd reset --config /etc/cohortd.toml --rebuild --yes";

pub(super) const DEMO: &str = "\
A shop and its support desk write two topics of their own; they are gathered into one log, which a lane reads. Kafka is an
in-process broker that keeps nothing after the end: your own Kafka is neither read nor written. The settings of kafka, schemas,
gather and state.dir are ignored.

Examples:
  cohortd demo
  cohortd demo --seconds 300 --customers 10000
  cohortd demo --rules my-rules.toml                 start with a copy of config/rules.toml

With --to-kafka only the shop runs, and its events go to topics.input at kafka.bootstrap_servers, where a `cohortd run`
reads them: eight months of history within --seconds, then events in real time until stopped. A missing topic is
created with 4 partitions; if the topic already has records, no history is sent.

  cohortd demo --to-kafka --set kafka.bootstrap_servers=localhost:9092";

pub(super) const HEALTH: &str = "\
Requests /health/live or /health/ready on the port of metrics.listen; use the same settings as for `run`.

Examples:
  cohortd health --config /etc/cohortd.toml
  cohortd health ready";

pub(super) const DUMP_CONFIG: &str = "\
The output is valid for --config, once the masked secrets are filled in or come from the environment.";
