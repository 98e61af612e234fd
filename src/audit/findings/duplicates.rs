//! Records that come twice, and ids that are none.

use super::{Flaw, Found, share, text};

/// A share that is worth a word.
const SHARE_MIN: f64 = 0.001;

pub(super) fn add(found: &mut Found<'_>) {
    let report = found.report;
    for topic in &report.topics {
        let (name, duplicates) = (topic.topic.as_str(), topic.duplicates);
        let of = |share: f64| (share * topic.records as f64).round() as u64;
        let id = topic.id.as_ref().map(|id| id.path.as_str());
        let reused = duplicates.by_id_with_other_content.unwrap_or(0.0);
        // Copies, by content or by an id that comes again.
        let copies = duplicates.by_content.max(duplicates.by_id.unwrap_or(0.0) - reused);
        if copies >= SHARE_MIN {
            let (s, p) = share(copies);
            let to_do = match id {
                Some(id) => text(
                    format!("Map id = \"{id}\": copies are then skipped. Let the sender retry with idempotence on."),
                    format!(
                        "Déclarez id = \"{id}\"\u{a0}: les copies sont alors ignorées. Activez l’idempotence à l’envoi."
                    ),
                ),
                None => text(
                    "Have an id sent with each event; until then a copy is recognized only if every byte is the same.",
                    "Faites ajouter un identifiant à chaque événement\u{a0}; sinon, seule une copie exacte est reconnue.",
                ),
            };
            let what = text(
                format!("{s} of {name} are copies: counted twice, they double purchases and visits."),
                format!("{p} de {name} sont des copies\u{a0}: comptées deux fois, elles gonflent achats et visites."),
            );
            found.add(Flaw::Duplicates, &[name], of(copies), (what, to_do));
        }
        if let Some(id) = id.filter(|_| reused >= SHARE_MIN) {
            let (s, p) = share(reused);
            let texts = (
                text(
                    format!("{s} of {name} have an `{id}` that came before with another content."),
                    format!("{p} de {name} reprennent un `{id}` déjà vu avec un autre contenu."),
                ),
                text(
                    "As an id it would hide real events: have an id of the event sent, or leave `id` out.",
                    "Comme identifiant, il masquerait de vrais événements\u{a0}: faites envoyer un identifiant d’événement, ou omettez `id`.",
                ),
            );
            found.add(Flaw::IdReused, &[name], of(reused), texts);
        }
    }
}
