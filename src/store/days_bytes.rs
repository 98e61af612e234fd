//! Days of coming back as bytes: parts of a customer's state.

use super::bytes::{Corrupt, Read, Reader, put_i64, put_len, put_number, put_u64};
use crate::churn::{Purchases, Usage};
use crate::engine::{Bought, DayBought, Used};
use crate::event::Number;

const IS_SETTLED: u8 = 1;

pub(super) fn put_bought(out: &mut Vec<u8>, bought: &Bought) {
    out.push(u8::from(bought.settled.is_some()));
    if let Some(settled) = &bought.settled {
        put_days(out, settled.first_day, settled.last_day);
        put_u64(out, u64::from(settled.repeats));
        put_number(out, Number(settled.first_amount));
        put_number(out, Number(settled.amount));
    }
    put_len(out, bought.open.len());
    let mut last = 0;
    for day in &bought.open {
        put_i64(out, i64::from(day.day) - last);
        out.push(u8::from(day.bought));
        put_number(out, day.amount);
        last = i64::from(day.day);
    }
}

pub(super) fn read_bought(reader: &mut Reader<'_>) -> Read<Bought> {
    let mut bought = Bought::default();
    if reader.u8("purchases")? & IS_SETTLED != 0 {
        let (first_day, last_day) = read_days(reader)?;
        let repeats = reader.u32("purchases")?;
        let (first_amount, amount) = (reader.number("purchases")?.0, reader.number("purchases")?.0);
        bought.settled = Some(Purchases { first_day, last_day, repeats, first_amount, amount });
    }
    let mut last = 0;
    for _ in 0..reader.len("days")? {
        last = next_day(reader, last)?;
        let flag = reader.u8("day")? != 0;
        bought.open.push(DayBought { day: day(last)?, bought: flag, amount: reader.number("day")? });
    }
    Ok(bought)
}

pub(super) fn put_used(out: &mut Vec<u8>, used: &Used) {
    out.push(u8::from(used.settled.is_some()));
    if let Some(settled) = &used.settled {
        put_days(out, settled.first_day, settled.last_day);
        settled.activity.iter().for_each(|sum| out.extend_from_slice(&sum.to_bits().to_le_bytes()));
    }
    put_len(out, used.open.len());
    let mut last = 0;
    for day in &used.open {
        put_i64(out, i64::from(*day) - last);
        last = i64::from(*day);
    }
}

pub(super) fn read_used(reader: &mut Reader<'_>) -> Read<Used> {
    let mut used = Used::default();
    if reader.u8("use")? & IS_SETTLED != 0 {
        let (first_day, last_day) = read_days(reader)?;
        let mut settled = Usage { first_day, last_day, ..Usage::first(first_day) };
        read_sums(reader, &mut settled)?;
        used.settled = Some(settled);
    }
    let mut last = 0;
    for _ in 0..reader.len("days")? {
        last = next_day(reader, last)?;
        used.open.push(day(last)?);
    }
    Ok(used)
}

pub(super) fn read_sums(reader: &mut Reader<'_>, usage: &mut Usage) -> Read<()> {
    for sum in &mut usage.activity {
        *sum = f64::from_bits(u64::from_le_bytes(reader.array("use")?));
        // What is summed up is finite and positive; anything else would spread.
        if !sum.is_finite() || *sum < 0.0 {
            return Err(Corrupt("sum of use"));
        }
    }
    Ok(())
}

pub(super) fn put_days(out: &mut Vec<u8>, first: i32, last: i32) {
    put_i64(out, i64::from(first));
    put_i64(out, i64::from(last) - i64::from(first));
}

pub(super) fn read_days(reader: &mut Reader<'_>) -> Read<(i32, i32)> {
    let first = reader.i64("day")?;
    let last = first.checked_add(reader.i64("day")?).ok_or(Corrupt("day"))?;
    Ok((day(first)?, day(last)?))
}

fn next_day(reader: &mut Reader<'_>, last: i64) -> Read<i64> {
    last.checked_add(reader.i64("day")?).ok_or(Corrupt("day"))
}

fn day(number: i64) -> Read<i32> {
    i32::try_from(number).map_err(|_| Corrupt("day"))
}
