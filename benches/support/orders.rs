//! Orders of 30 fields, nested, of which a source reads six.

use super::shop::{put, text};

/// From the root of the repository.
pub(crate) const SCHEMA: &str = "benches/streams/order.avsc";

pub(crate) const SOURCE: &str = r#"
[sources.orders]
topic      = "orders"
customer   = "buyer.id"
time       = "paid_at"
id         = "order_id"
event      = "purchase"
where      = 'status = "PAID"'
properties = { amount = "total.value" }
"#;

/// An order in Confluent framing.
pub(crate) fn write(out: &mut Vec<u8>, number: u64, customer: u64, at: u64) {
    let texts = |out: &mut Vec<u8>, texts: &[&str]| texts.iter().for_each(|one| text(out, one));
    out.extend_from_slice(&[0, 0, 0, 0, 1]);
    text(out, &format!("order-{number:010}"));
    put(out, 1);
    texts(out, &["web", &format!("c{customer:08}")]);
    put(out, 1);
    texts(out, &[&format!("c{customer}@example.org"), "Ada Example", "FR"]);
    out.push(1);
    for value in [19.99 + (number % 300) as f64, 3.5, 4.9] {
        out.extend_from_slice(&f64::to_le_bytes(value));
    }
    text(out, "EUR");
    let lines = number % 4 + 1;
    put(out, lines.cast_signed());
    for line in 0..lines {
        text(out, &format!("SKU-{:05}", (number + line) % 5_000));
        put(out, 1);
        out.extend_from_slice(&f64::to_le_bytes(9.99));
    }
    put(out, 0);
    put(out, (at - 60_000).cast_signed());
    put(out, at.cast_signed());
    texts(out, &["12 rue de la Paix", "Paris", "75002"]);
    put(out, 0);
    put(out, 1);
    text(out, "spring-newsletter");
    put(out, 0);
    out.push(0);
}
