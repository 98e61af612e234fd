//! Names of fields, events and topics: their words, whether two are spellings of one, and what they say.

/// The words of a name in lower case, without accents: `OrderCompleted`, `order_completed` and `Order Completed` have
/// the same.
#[must_use]
pub(super) fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut word = String::new();
    let mut before = None;
    let chars: Vec<char> = name.chars().collect();
    for (place, c) in chars.iter().copied().enumerate() {
        let next_is_lower = chars.get(place + 1).is_some_and(|next| next.is_lowercase());
        let is_new = c.is_uppercase()
            && before.is_some_and(|before: char| before.is_lowercase() || next_is_lower && before.is_uppercase());
        if (is_new || !c.is_alphanumeric()) && !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        if c.is_alphanumeric() {
            c.to_lowercase().for_each(|c| word.push_str(without_accent(c).encode_utf8(&mut [0; 4])));
        }
        before = Some(c);
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// What the spellings of one name have in common: no separators, no capitals, no accents, no plural.
#[must_use]
pub(super) fn spelling(name: &str) -> String {
    let joined = words(name).concat();
    match joined.strip_suffix('s') {
        Some(singular) if singular.len() >= 4 && !singular.ends_with('s') => singular.to_owned(),
        _ => joined,
    }
}

fn without_accent(c: char) -> char {
    match c {
        'à' | 'â' | 'ä' => 'a',
        'ç' => 'c',
        'é' | 'è' | 'ê' | 'ë' => 'e',
        'î' | 'ï' => 'i',
        'ô' | 'ö' => 'o',
        'ù' | 'û' | 'ü' => 'u',
        other => other,
    }
}

/// Is one name probably a typing error of the other? One letter more, less or other, in names that are long enough.
#[must_use]
pub(super) fn is_slip(one: &str, other: &str) -> bool {
    const LENGTH_MIN: usize = 7;
    let (one, other) = (spelling(one), spelling(other));
    let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
    one != other
        && one.len().min(other.len()) >= LENGTH_MIN
        && one.len().abs_diff(other.len()) <= 1
        && digits(&one) == digits(&other)
        && edits(&one, &other) == 1
}

/// Levenshtein's distance over bytes.
fn edits(one: &str, other: &str) -> usize {
    let other = other.as_bytes();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, from) in one.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}

/// How well a name fits what is looked for: the lower, the better.
pub(super) type Rank = u8;

/// Names of those who are customers, by how surely they mean one.
const PERSONS: [(&[&str], Rank); 3] = [
    (&["customer", "client", "buyer", "shopper", "acheteur"], 0),
    (&["user", "member", "subscriber", "utilisateur", "adherent", "abonne", "membre"], 2),
    (&["account", "contact", "person", "profile", "compte", "personne", "profil"], 3),
];
const ID_WORDS: [&str; 9] = ["id", "uuid", "guid", "key", "no", "number", "ref", "code", "numero"];
/// Ids of visits and devices, of which one customer has many.
pub(super) const ANONYMOUS: Rank = 8;
pub(super) const EMAIL: Rank = 5;
pub(super) const PHONE: Rank = 6;

/// Does a field of this name hold the customer? `within`: the name of the field that it lies in.
#[must_use]
pub(super) fn customer_rank(name: &str, within: &str) -> Option<Rank> {
    let (own, within) = (words(name), words(within));
    let joined = own.concat();
    let has = |word: &str| own.iter().any(|own| own == word);
    if ["anonymous", "visitor", "device", "cookie", "visiteur"].iter().any(|word| has(word))
        || ["anonymousid", "visitorid", "deviceid", "anonid"].contains(&joined.as_str())
    {
        return Some(ANONYMOUS);
    }
    if ["email", "mail", "courriel", "emailaddress"].contains(&joined.as_str()) || has("email") || has("courriel") {
        // `email_opened` is no address.
        let is_address = own.iter().all(|word| {
            !["opened", "clicked", "sent", "count", "type", "status", "id", "consent", "optin"].contains(&word.as_str())
        });
        return is_address.then_some(EMAIL);
    }
    if ["phone", "telephone", "mobile", "msisdn", "phonenumber"].contains(&joined.as_str())
        || has("phone")
        || has("telephone")
    {
        return Some(PHONE);
    }
    for (persons, rank) in PERSONS {
        let names = |words: &[String]| words.iter().any(|word| persons.contains(&word.as_str()));
        let is_id = |words: &[String]| words.iter().any(|word| ID_WORDS.contains(&word.as_str()));
        // `customer_id`, `idClient`; `customerid`, where nothing separates the two.
        let joins = persons.iter().any(|person| {
            ID_WORDS.iter().any(|id| joined == format!("{person}{id}") || joined == format!("{id}{person}"))
        });
        let is_of_another = own.iter().any(|word| {
            ["order", "session", "group", "product", "cart", "invoice", "commande"].contains(&word.as_str())
        });
        if joins || (own.len() == 2 || own.len() == 3 && has("id")) && names(&own) && is_id(&own) && !is_of_another {
            return Some(rank);
        }
        // `buyer.id`
        if own.len() == 1 && is_id(&own) && within.last().is_some_and(|last| persons.contains(&last.as_str())) {
            return Some(rank);
        }
        if own.len() == 1 && names(&own) {
            return Some(rank + 1);
        }
    }
    None
}

/// Does a field of this name hold the time at which something happened?
#[must_use]
pub(super) fn time_rank(name: &str) -> Option<Rank> {
    let own = words(name);
    let joined = own.concat();
    let last = own.last().map_or("", String::as_str);
    let has = |list: &[&str]| own.iter().any(|word| list.contains(&word.as_str()));
    if is_planned(name) {
        return None;
    }
    let is_time = ["at", "on", "date", "time", "timestamp", "ts", "datetime", "horodatage", "le", "created", "updated"]
        .contains(&last)
        || ["timestamp", "datetime", "createdat", "occurredat", "eventtime"].iter().any(|word| joined.ends_with(word))
        || has(&["timestamp", "ts", "time", "horodatage", "date", "datetime"]);
    if !is_time {
        return None;
    }
    Some(match joined.as_str() {
        "occurredat" | "eventtime" | "eventtimestamp" | "eventdate" | "happenedat" | "timestamp" | "time" | "ts"
        | "tsms" | "datetime" | "horodatage" => 0,
        _ if has(&["occurred", "happened", "event"]) => 0,
        "date" => 1,
        _ if has(&[
            "created",
            "creation",
            "placed",
            "paid",
            "ordered",
            "completed",
            "purchased",
            "cree",
            "clicked",
            "opened",
            "signup",
            "registered",
            "commande",
        ]) =>
        {
            2
        }
        _ if has(&[
            "updated",
            "modified",
            "received",
            "sent",
            "processed",
            "ingested",
            "loaded",
            "synced",
            "modification",
            "extracted",
            "original",
        ]) =>
        {
            4
        }
        _ => 3,
    })
}

/// Is a time of this name one of what is planned, or one that says something about a person?
#[must_use]
pub(super) fn is_planned(name: &str) -> bool {
    const PLANNED: [&str; 20] = [
        "birth",
        "born",
        "birthday",
        "naissance",
        "expires",
        "expire",
        "expiry",
        "expiration",
        "due",
        "until",
        "valid",
        "end",
        "ends",
        "zone",
        "timezone",
        "offset",
        "spent",
        "duration",
        "delivery",
        "next",
    ];
    words(name).iter().any(|word| PLANNED.contains(&word.as_str()))
}

/// Does a field of this name hold the name of what happened?
#[must_use]
pub(super) fn event_rank(name: &str) -> Option<Rank> {
    let joined = words(name).concat();
    Some(match joined.as_str() {
        "event" | "eventname" | "evenement" | "nomevenement" => 0,
        "eventtype" | "typeevenement" | "typeevent" | "eventkind" | "eventaction" => 1,
        "type" | "action" | "activity" | "activitytype" | "kind" => 2,
        "name" | "op" | "operation" | "nom" => 3,
        _ => return None,
    })
}

/// Does a field of this name hold the id of what happened?
#[must_use]
pub(super) fn id_rank(name: &str, depth: usize) -> Option<Rank> {
    let own = words(name);
    let joined = own.concat();
    let has = |list: &[&str]| own.iter().any(|word| list.contains(&word.as_str()));
    if ["eventid", "messageid", "msgid", "insertid", "idempotencykey", "eventuuid", "idevenement", "dedupid"]
        .contains(&joined.as_str())
    {
        return Some(0);
    }
    if depth == 1 && ["id", "uuid", "guid"].contains(&joined.as_str()) {
        return Some(1);
    }
    let is_id = own.len() > 1 && has(&["id", "uuid", "number", "no", "ref", "numero", "key"])
        || joined.ends_with("id") && joined.len() > 4;
    (is_id
        && has(&[
            "order",
            "transaction",
            "invoice",
            "ticket",
            "click",
            "payment",
            "commande",
            "facture",
            "paiement",
            "orderid",
            "transactionid",
            "purchase",
            "request",
            "hit",
        ]))
    .then_some(2)
}

#[cfg(test)]
mod tests {
    use super::{ANONYMOUS, EMAIL, customer_rank, event_rank, id_rank, is_slip, spelling, time_rank, words};

    #[test]
    fn spellings_of_one_name_are_the_same() {
        for name in [
            "Order Completed",
            "order_completed",
            "OrderCompleted",
            "order.completed",
            "ORDER-COMPLETED",
            "ordercompleted",
        ] {
            assert_eq!(spelling(name), "ordercompleted", "{name}");
        }
        assert_eq!((spelling("purchases"), spelling("Achat validé")), ("purchase".into(), "achatvalide".into()));
        assert_eq!((spelling("address"), spelling("sms")), ("address".into(), "sms".into()), "these are no plurals");
        assert_eq!(words("customerID2FAEnabled"), ["customer", "id2fa", "enabled"]);
        assert_eq!(words(""), [""; 0]);
    }

    #[test]
    fn a_slip_is_one_letter_of_a_long_name() {
        assert!(is_slip("purchase", "purchse") && is_slip("cart_abandoned", "cart_abandonned"));
        assert!(!is_slip("purchase", "Purchase") && !is_slip("login", "logon") && !is_slip("step_one_1", "step_one_2"));
    }

    #[test]
    fn customers_are_found_by_the_names_of_their_fields() {
        for (name, within, rank) in [
            ("customer_id", "", Some(0)),
            ("customerId", "", Some(0)),
            ("idClient", "", Some(0)),
            ("id", "buyer", Some(0)),
            ("userId", "", Some(2)),
            ("id", "user", Some(2)),
            ("customer", "", Some(1)),
            ("email", "traits", Some(EMAIL)),
            ("anonymousId", "", Some(ANONYMOUS)),
            ("id", "order", None),
            ("user_agent", "", None),
            ("email_opened", "", None),
            ("name", "customer", None),
            ("session_id", "", None),
            ("customer_order_id", "", None),
        ] {
            assert_eq!(customer_rank(name, within), rank, "{within}.{name}");
        }
    }

    #[test]
    fn times_events_and_ids_are_found_by_the_names_of_their_fields() {
        for (name, rank) in [
            ("occurred_at", Some(0)),
            ("ts", Some(0)),
            ("createdAt", Some(2)),
            ("sent_at", Some(4)),
            ("date_commande", Some(2)),
            ("birth_date", None),
            ("expires_at", None),
            ("time_zone", None),
            ("amount", None),
        ] {
            assert_eq!(time_rank(name), rank, "{name}");
        }
        assert_eq!(
            ["event", "type", "name", "eventName", "status"].map(event_rank),
            [Some(0), Some(2), Some(3), Some(0), None]
        );
        let ids = ["event_id", "id", "order_id", "messageId", "product_id", "void"].map(|name| id_rank(name, 1));
        assert_eq!(ids, [Some(0), Some(1), Some(2), Some(0), None, None]);
        assert_eq!(id_rank("id", 2), None);
    }
}
