//! The five events that decisions begin with, and the names under which companies have them.

use super::names::{spelling, words};
use crate::event::named;

named! {
    /// An event that the default rules, and most others, are made of.
    Critical {
        Signup = "signup",
        Purchase = "purchase",
        CartAbandoned = "cart_abandoned",
        OnboardingCompleted = "onboarding_completed",
        Unsubscribed = "unsubscribed",
    }
}

/// What a name must have, one word of each list, and what it must not have.
struct Pattern {
    of: Critical,
    all: &'static [&'static [&'static str]],
    none: &'static [&'static str],
}

/// Whatever comes before it, or undoes it.
const NOT_DONE: &[&str] = &[
    "viewed",
    "view",
    "started",
    "start",
    "failed",
    "page",
    "form",
    "clicked",
    "cancelled",
    "canceled",
    "refunded",
    "refund",
    "returned",
    "shipped",
    "delivered",
    "updated",
    "step",
    "abandoned",
    "abandon",
    "line",
    "lines",
    "item",
    "items",
    "annule",
    "annulee",
    "rembourse",
    "remboursee",
    "expediee",
    "livree",
    "echoue",
    "echouee",
];

const PATTERNS: [Pattern; 19] = [
    Pattern {
        of: Critical::CartAbandoned,
        all: &[
            &["cart", "basket", "checkout", "panier", "bag"],
            &["abandoned", "abandon", "abandonne", "abandonment", "abandonned", "left"],
        ],
        none: &[],
    },
    Pattern {
        of: Critical::Signup,
        all: &[&["signup", "signedup", "registered", "registration", "register", "inscription", "inscrit", "inscrite"]],
        none: NOT_DONE,
    },
    Pattern { of: Critical::Signup, all: &[&["sign", "signed"], &["up"]], none: NOT_DONE },
    Pattern {
        of: Critical::Signup,
        all: &[&["account", "user", "customer", "member", "profile"], &["created", "creation"]],
        none: NOT_DONE,
    },
    Pattern {
        of: Critical::Signup,
        all: &[&["compte", "client", "membre"], &["cree", "creation", "nouveau"]],
        none: NOT_DONE,
    },
    Pattern {
        of: Critical::Purchase,
        all: &[&[
            "purchase",
            "purchased",
            "purchases",
            "achat",
            "achats",
            "bought",
            "sale",
            "sales",
            "vente",
            "ventes",
        ]],
        none: NOT_DONE,
    },
    Pattern {
        of: Critical::Purchase,
        all: &[
            &["order", "orders", "commande", "commandes"],
            &[
                "completed",
                "complete",
                "placed",
                "paid",
                "created",
                "confirmed",
                "succeeded",
                "payee",
                "validee",
                "confirmee",
                "passee",
                "creee",
            ],
        ],
        none: NOT_DONE,
    },
    Pattern {
        of: Critical::Purchase,
        all: &[
            &["payment", "charge", "paiement"],
            &["succeeded", "completed", "received", "captured", "accepted", "reussi", "accepte", "recu"],
        ],
        none: NOT_DONE,
    },
    Pattern { of: Critical::Purchase, all: &[&["checkout"], &["completed", "complete", "succeeded"]], none: NOT_DONE },
    Pattern { of: Critical::Purchase, all: &[&["invoice", "facture"], &["paid", "payee", "reglee"]], none: NOT_DONE },
    Pattern {
        of: Critical::OnboardingCompleted,
        all: &[
            &["onboarding", "setup", "tutorial", "tour", "prise"],
            &["completed", "complete", "finished", "done", "termine", "terminee", "fini", "finie"],
        ],
        none: NOT_DONE,
    },
    Pattern {
        of: Critical::OnboardingCompleted,
        all: &[&["activated", "activation"], &["user", "account", "completed", "compte"]],
        none: NOT_DONE,
    },
    Pattern {
        of: Critical::Unsubscribed,
        all: &[&[
            "unsubscribed",
            "unsubscribe",
            "unsubscribes",
            "optout",
            "desabonnement",
            "desabonne",
            "desabonnee",
            "desinscription",
            "desinscrit",
            "desinscrite",
            "resiliation",
            "resilie",
        ]],
        none: &["page", "clicked", "viewed"],
    },
    Pattern { of: Critical::Unsubscribed, all: &[&["opt", "opted"], &["out"]], none: &[] },
    Pattern {
        of: Critical::Unsubscribed,
        all: &[
            &["subscription", "abonnement"],
            &["cancelled", "canceled", "ended", "deleted", "annule", "resilie", "termine"],
        ],
        none: &[],
    },
    Pattern {
        of: Critical::Unsubscribed,
        all: &[&["list", "newsletter", "email", "emails"], &["left", "unsubscribed", "removed"]],
        none: &[],
    },
    Pattern {
        of: Critical::CartAbandoned,
        all: &[&["abandonedcart", "cartabandoned", "cartabandonment", "panierabandonne"]],
        none: &[],
    },
    Pattern { of: Critical::OnboardingCompleted, all: &[&["onboarded", "onboardingcompleted"]], none: &[] },
    Pattern { of: Critical::Purchase, all: &[&["ordercompleted", "orderplaced", "orderpaid"]], none: &[] },
];

/// Which of the five a name means, if any.
#[must_use]
pub(super) fn critical(name: &str) -> Option<Critical> {
    if let Some(exact) = Critical::ALL.iter().find(|critical| spelling(critical.as_str()) == spelling(name)) {
        return Some(*exact);
    }
    let words = words(name);
    let has = |list: &[&str]| words.iter().any(|word| list.contains(&word.as_str()));
    let found = PATTERNS.iter().find(|pattern| pattern.all.iter().all(|list| has(list)) && !has(pattern.none));
    if let Some(found) = found {
        return Some(found.of);
    }
    // `orders`, alone.
    let alone =
        matches!(words.as_slice(), [word] if ["order", "orders", "commande", "commandes"].contains(&word.as_str()));
    alone.then_some(Critical::Purchase)
}

/// What the records of a topic are, by the name of the topic or of its records, where no field says it: one of the five, or
/// the last word of the name.
#[must_use]
pub(super) fn of_topic(topic: &str, record: &str) -> String {
    let last = |name: &str| name.rsplit('.').next().unwrap_or(name).to_owned();
    for name in [record, topic] {
        let of_last = critical(&last(name));
        if let Some(found) = of_last.or_else(|| critical(name)) {
            return found.as_str().to_owned();
        }
    }
    let words = words(&last(topic));
    let word = words.last().map_or("event", String::as_str);
    let singular = word.strip_suffix('s').filter(|singular| singular.len() >= 3 && !singular.ends_with('s'));
    singular.unwrap_or(word).to_owned()
}

#[cfg(test)]
mod tests {
    use super::{Critical, critical, of_topic};

    #[test]
    fn the_five_are_found_under_their_many_names() {
        for (critical_event, names) in [
            (
                Critical::Signup,
                &["signup", "Signed Up", "sign_up", "user_created", "Account Created", "inscription", "compte créé"][..],
            ),
            (
                Critical::Purchase,
                &[
                    "purchase",
                    "Order Completed",
                    "OrderPaid",
                    "order.placed",
                    "checkout_completed",
                    "achat",
                    "commande validée",
                    "invoice.paid",
                ],
            ),
            (
                Critical::CartAbandoned,
                &["cart_abandoned", "Checkout Abandoned", "panier abandonné", "AbandonedCart", "abandon panier"],
            ),
            (
                Critical::OnboardingCompleted,
                &[
                    "onboarding_completed",
                    "OnboardingFinished",
                    "tutorial completed",
                    "onboarding terminé",
                    "user_activated",
                ],
            ),
            (
                Critical::Unsubscribed,
                &[
                    "unsubscribed",
                    "Email Unsubscribed",
                    "opted_out",
                    "désabonnement",
                    "subscription_cancelled",
                    "résiliation",
                ],
            ),
        ] {
            for name in names {
                assert_eq!(critical(name), Some(critical_event), "{name}");
            }
        }
        for name in [
            "visit",
            "product_viewed",
            "Signup Started",
            "order_cancelled",
            "Order Refunded",
            "onboarding_step_completed",
            "commande annulée",
            "subscribed",
            "checkout_started",
            "",
        ] {
            assert_eq!(critical(name), None, "{name}");
        }
    }

    #[test]
    fn a_topic_without_names_of_events_has_one_event() {
        for (topic, record, event) in [
            ("shop.orders", "", "purchase"),
            ("shop.orders", "com.shop.OrderPaid", "purchase"),
            ("shop.signups", "", "signup"),
            ("crm.tickets", "", "ticket"),
            ("clicks", "", "click"),
            ("access", "", "access"),
            ("x", "", "x"),
        ] {
            assert_eq!(of_topic(topic, record), event, "{topic}");
        }
    }
}
