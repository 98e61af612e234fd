//! The purchases of CDNOW's customers.

/// One customer's purchases in order: the day, counted from 1 January 1997, and the amount in millionths of a dollar. Several
/// may be on one day.
pub(crate) type PurchaseList = Vec<(i32, i128)>;

pub(crate) fn customers() -> Vec<PurchaseList> {
    let text = include_str!("../../../tests/fixtures/cdnow/sample.txt");
    let purchase = |word: &str| {
        let (day, cents) = word.split_once(':').unwrap();
        (day.parse().unwrap(), cents.parse::<i128>().unwrap() * 10_000)
    };
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.split(' ').map(purchase).collect()).collect()
}
