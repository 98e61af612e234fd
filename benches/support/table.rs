//! One table at the end of a run: what was wanted, what was measured, and how they compare.

/// Which side of a target is the good one.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Target {
    AtLeast(f64),
    AtMost(f64),
    None,
}

/// Lines of figures, printed together.
#[derive(Default)]
pub(crate) struct Table {
    lines: Vec<[String; 4]>,
}

impl Table {
    pub(crate) fn add(&mut self, what: impl Into<String>, target: Target, measured: f64, unit: &str) {
        let (wanted, ratio) = match target {
            Target::AtLeast(wanted) => (format!("≥ {}", figure(wanted, unit)), ratio(measured / wanted)),
            Target::AtMost(wanted) => (format!("≤ {}", figure(wanted, unit)), ratio(measured / wanted)),
            Target::None => (String::new(), String::new()),
        };
        self.lines.push([what.into(), wanted, figure(measured, unit), ratio]);
    }

    pub(crate) fn print(&self, title: &str) {
        let width = self.lines.iter().map(|line| line[0].chars().count()).max().unwrap_or(0);
        println!("\n{title:width$}  {:>16}  {:>16}  {:>6}", "target", "measured", "ratio");
        for [what, target, measured, ratio] in &self.lines {
            println!("{what:width$}  {target:>16}  {measured:>16}  {ratio:>6}");
        }
    }
}

fn ratio(ratio: f64) -> String {
    // Against a target of nothing there is none.
    if ratio.is_finite() { format!("{ratio:.2}") } else { String::new() }
}

fn figure(value: f64, unit: &str) -> String {
    match unit {
        "%" => format!("{:.1} %", value * 100.0),
        _ if value >= 10_000.0 => format!("{:.0} K{unit}", value / 1_000.0),
        _ if value >= 100.0 => format!("{value:.0}{unit}"),
        _ => format!("{value:.3}{unit}"),
    }
}
