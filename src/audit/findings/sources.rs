//! Sources that do not know the same customers, and customers in several partitions.

use super::{Flaw, Found, both, share, text};

/// Fewer in common are as good as none.
const SHARE_MIN: f64 = 0.2;
/// With fewer customers chance decides.
const CUSTOMERS_MIN: u64 = 5;

pub(super) fn add(found: &mut Found<'_>) {
    let report = found.report;
    for common in &report.customers_in_common {
        let of = |name: &str| report.topics.iter().find(|topic| topic.topic == name);
        let (Some(one), Some(other)) = (of(&common.topics[0]), of(&common.topics[1])) else { continue };
        let most = common.shares[0].max(common.shares[1]);
        if most >= SHARE_MIN || one.customers.min(other.customers) < CUSTOMERS_MIN {
            continue;
        }
        let ([a, b], [x, y], (s, p)) = (&common.topics, &common.paths, share(most));
        let what = text(
            format!(
                "{a} and {b} have {s} of their customers in common, by `{x}` and `{y}`: two halves of each customer."
            ),
            format!(
                "{a} et {b} ne se parlent pas\u{a0}: {p} de clients en commun (`{x}` et `{y}`), donc deux moitiés de chaque client."
            ),
        );
        let to_do = match &common.better {
            Some(better) => {
                let ([x, y], (t, q)) = (&better.paths, share(better.shares[0].max(better.shares[1])));
                text(
                    format!("Use `{x}` and `{y}` instead, by which they have {t} in common."),
                    format!("Utilisez plutôt `{x}` et `{y}`\u{a0}: {q} de clients en commun."),
                )
            }
            None => text(
                "Choose one id of a customer, the e-mail address if there is no other, and have every tool send it.",
                "Choisissez un identifiant client unique, l’e-mail par défaut, et faites-le envoyer par chaque outil.",
            ),
        };
        // What the smaller one knows is missing in the other.
        let records = ((1.0 - most) * one.records.min(other.records) as f64).round() as u64;
        found.add(Flaw::Apart, &[a, b], records, (what, to_do));
    }
    for topic in report.topics.iter().filter(|topic| topic.keys.partitioned == Some("mixed")) {
        let (name, (n, m)) = (topic.topic.as_str(), both(topic.keys.elsewhere));
        let texts = (
            text(
                format!(
                    "{n} records of {name} are not in the partition of their key by murmur2, while the others are."
                ),
                format!(
                    "{m} messages de {name} ne sont pas dans la partition de leur clé selon murmur2, contrairement aux autres."
                ),
            ),
            text(
                "Use one partitioner for all senders (librdkafka: partitioner=murmur2_random): one customer is in two places.",
                "Même partitionneur pour tous les envois (librdkafka\u{a0}: partitioner=murmur2_random)\u{a0}: un client est à deux endroits.",
            ),
        );
        found.add(Flaw::MixedPartitioners, &[name], topic.keys.elsewhere, texts);
    }
}
