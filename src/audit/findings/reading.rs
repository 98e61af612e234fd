//! Records that cannot be read, or are about nobody.

use super::{Flaw, Found, records, share, text};
use crate::audit::record::Unreadable;

/// Customers are expected in nearly all records; a few without are those of visitors.
const CUSTOMERS_MIN: f64 = 0.98;

pub(super) fn add(found: &mut Found<'_>) {
    let report = found.report;
    for topic in &report.topics {
        let name = topic.topic.as_str();
        for why in Unreadable::ALL {
            let Some(count) = topic.unreadable.get(why.as_str()) else { continue };
            let (n, m) = records(*count);
            let texts = match why {
                Unreadable::UnknownSchema => (
                    text(
                        format!("{n} of {name} have a schema that is neither in a file nor in the registry."),
                        format!("{m} de {name} ont un schéma introuvable, ni dans un fichier ni dans le registre."),
                    ),
                    text(
                        "Set schemas.registry, or put the schema into the folder of schemas.dir.",
                        "Indiquez le registre (schemas.registry) ou déposez le schéma dans le dossier schemas.dir.",
                    ),
                ),
                Unreadable::Damaged => (
                    text(
                        format!("{n} of {name} cannot be read: they are cut, or not what they say they are."),
                        format!(
                            "{m} de {name} sont illisibles\u{a0}: tronqués, ou dans un autre format que celui annoncé."
                        ),
                    ),
                    text(
                        "Ask who writes them; until then they are lost for every decision.",
                        "Demandez à l’équipe qui les envoie\u{a0}; d’ici là, aucune décision n’en tient compte.",
                    ),
                ),
                Unreadable::Unknown => (
                    text(
                        format!("{n} of {name} are neither JSON nor Avro with the id of a schema."),
                        format!("{m} de {name} ne sont ni du JSON ni de l’Avro avec un numéro de schéma."),
                    ),
                    text(
                        "Have them written as JSON, or as Avro through a registry.",
                        "Faites-les envoyer en JSON, ou en Avro avec un registre de schémas.",
                    ),
                ),
            };
            found.add(Flaw::Unreadable, &[name], *count, texts);
        }
        let readable =
            topic.records - topic.unreadable.values().sum::<u64>() - topic.formats.get("null").copied().unwrap_or(0);
        if readable == 0 {
            continue;
        }
        match &topic.customer {
            None => found.add(
                Flaw::NoCustomer,
                &[name],
                readable,
                (
                    text(
                        format!("Nothing in {name} says which customer a record is about."),
                        format!("Rien dans {name} ne dit de quel client il s’agit."),
                    ),
                    text(
                        "Have the customer's id, or the e-mail address, sent with each record.",
                        "Faites ajouter l’identifiant du client, ou son e-mail, à chaque message.",
                    ),
                ),
            ),
            Some(customer) if customer.share < CUSTOMERS_MIN => {
                let missing = ((1.0 - customer.share) * readable as f64).round() as u64;
                let ((s, p), path) = (share(1.0 - customer.share), &customer.path);
                let instead = topic.other_customers.first().filter(|other| other.share > customer.share);
                let to_do = match instead {
                    Some(other) => {
                        let (t, q) = share(other.share);
                        text(
                            format!("{} is in {t}: link the two once, when the customer logs in.", other.path),
                            format!(
                                "{} est présent dans {q}\u{a0}: reliez les deux une fois, à la connexion du client.",
                                other.path
                            ),
                        )
                    }
                    None => text(
                        "Have the id sent wherever the customer is known, not only where they log in.",
                        "Faites envoyer l’identifiant partout où le client est connu, pas seulement à la connexion.",
                    ),
                };
                let what = text(
                    format!("{s} of {name} have no `{path}`: they are about nobody."),
                    format!("{p} de {name} n’ont pas de `{path}`\u{a0}: on ne sait pas de qui il s’agit."),
                );
                found.add(Flaw::NoCustomer, &[name], missing, (what, to_do));
            }
            Some(_) => {}
        }
    }
}
