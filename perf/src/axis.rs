//! An axis of a chart: where a value lies on it, where its ticks are, and how values are written.

/// How values lie on an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// From 0 on, evenly.
    Linear,
    /// By their logarithms; values above 0.
    Log,
    /// Shares below 1, by how many nines they have: 0.9, 0.99 and 0.999 are as far from each other.
    Nines,
}

/// An axis, from the least to the greatest value that is shown on it.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    /// What it shows, with the unit.
    pub name: String,
    /// How.
    pub scale: Scale,
    /// Where it has ticks, and what they say; empty: where it thinks fit.
    pub ticks: Vec<(f64, String)>,
}

/// An axis with its ends.
#[derive(Debug, Clone, PartialEq)]
pub struct Ruler {
    scale: Scale,
    /// As `Scale::place` has them, the first below the second.
    ends: (f64, f64),
    /// Values, and what they say.
    pub ticks: Vec<(f64, String)>,
}

impl Scale {
    fn place(self, value: f64) -> f64 {
        match self {
            Self::Linear => value,
            Self::Log => value.max(f64::MIN_POSITIVE).log10(),
            Self::Nines => -(1.0 - value).max(1e-12).log10(),
        }
    }
}

impl Axis {
    /// An axis whose ticks are where it thinks fit.
    pub fn new(name: &str, scale: Scale) -> Self {
        Self { name: name.to_owned(), scale, ticks: Vec::new() }
    }

    /// An axis with a tick at each of these values, which says the value.
    pub fn at(name: &str, scale: Scale, values: impl IntoIterator<Item = f64>) -> Self {
        let ticks = values.into_iter().map(|value| (value, short(value))).collect();
        Self { name: name.to_owned(), scale, ticks }
    }

    /// Percentiles from the median to the 99.99th; a share of 0.99 lies at the 99th.
    pub fn percentiles(name: &str) -> Self {
        let shares = [0.5, 0.9, 0.99, 0.999, 0.9999];
        let texts = ["50", "90", "99", "99.9", "99.99"].map(str::to_owned);
        let ticks = shares.into_iter().zip(texts).collect();
        Self { name: name.to_owned(), scale: Scale::Nines, ticks }
    }

    /// With ends that hold these values and the axis' own ticks.
    pub fn ruler(&self, values: impl IntoIterator<Item = f64>) -> Ruler {
        let own = self.ticks.iter().map(|(value, _)| *value);
        let (mut least, mut greatest) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in own.chain(values).filter(|value| value.is_finite()) {
            (least, greatest) = (least.min(value), greatest.max(value));
        }
        if least > greatest {
            (least, greatest) = (1.0, 1.0);
        }
        let ticks = match (self.ticks.is_empty(), self.scale) {
            (false, _) => self.ticks.clone(),
            (true, Scale::Log) => named(decades(least, greatest)),
            (true, _) => named(steps(greatest)),
        };
        let is_own = !self.ticks.is_empty();
        let edge = |pick: fn(f64, f64) -> f64, start: f64| {
            ticks.iter().map(|(value, _)| *value).fold(start, pick)
        };
        let bottom = if self.scale == Scale::Linear && !is_own { 0.0 } else { least };
        let (low, high) = (edge(f64::min, bottom), edge(f64::max, greatest));
        let (low, high) = (self.scale.place(low), self.scale.place(high));
        Ruler { scale: self.scale, ends: (low, if high > low { high } else { low + 1.0 }), ticks }
    }
}

impl Ruler {
    /// Where a value lies: 0 at the lower end, 1 at the upper one.
    pub fn share(&self, value: f64) -> f64 {
        let (low, high) = self.ends;
        (self.scale.place(value) - low) / (high - low)
    }
}

/// A number as short as it says enough: `1.73 M`, `512`, `0.82`.
pub fn short(value: f64) -> String {
    let magnitude = value.abs();
    let (scaled, unit) = match magnitude {
        1e9.. => (value / 1e9, " G"),
        1e6.. => (value / 1e6, " M"),
        1e4.. => (value / 1e3, " k"),
        _ => (value, ""),
    };
    let digits = match scaled.abs() {
        100.0.. => 0,
        10.0.. => 1,
        1.0.. => 2,
        0.0 => 0,
        _ => 3,
    };
    let text = format!("{scaled:.digits$}");
    let text = if text.contains('.') { text.trim_end_matches('0') } else { &text };
    format!("{}{unit}", text.trim_end_matches('.'))
}

fn named(values: Vec<f64>) -> Vec<(f64, String)> {
    values.into_iter().map(|value| (value, short(value))).collect()
}

/// Three to six even steps from 0 that reach the greatest value.
fn steps(greatest: f64) -> Vec<f64> {
    let greatest = if greatest > 0.0 { greatest } else { 1.0 };
    let decade = 10f64.powf(greatest.log10().floor());
    let fits = |step: &f64| greatest / (step * decade) <= 4.0;
    let step = [0.2, 0.25, 0.5, 1.0, 2.5].into_iter().find(fits).unwrap_or(2.5) * decade;
    (0..=(greatest / step).ceil() as u32).map(|count| f64::from(count) * step).collect()
}

/// Powers of ten around the values; with 2 and 5 between, where they are few.
fn decades(least: f64, greatest: f64) -> Vec<f64> {
    let least = least.max(1e-12);
    let exponents = least.log10().floor() as i32..=greatest.max(least).log10().ceil() as i32;
    let factors: &[f64] = if exponents.clone().count() > 3 { &[1.0] } else { &[1.0, 2.0, 5.0] };
    let all: Vec<f64> = exponents
        .flat_map(|exponent| factors.iter().map(move |factor| factor * 10f64.powi(exponent)))
        .collect();
    // One beyond each end, at most.
    let first = all.iter().rposition(|value| *value <= least * (1.0 + 1e-9)).unwrap_or(0);
    let last = all.iter().position(|value| *value >= greatest * (1.0 - 1e-9));
    all[first..=last.unwrap_or(all.len() - 1).max(first)].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(ruler: &Ruler) -> Vec<&str> {
        ruler.ticks.iter().map(|(_, text)| text.as_str()).collect()
    }

    #[test]
    fn numbers_are_short() {
        let numbers = [0.0, 0.8237, 1.0, 3.456, 12.34, 512.0, 1000.0, 65_536.0, 1_732_519.0];
        let texts = numbers.map(short);
        assert_eq!(texts, ["0", "0.824", "1", "3.46", "12.3", "512", "1000", "65.5 k", "1.73 M"]);
    }

    #[test]
    fn linear_axis_starts_at_zero_and_ends_above_the_greatest() {
        let ruler = Axis::new("s", Scale::Linear).ruler([0.7, 0.95]);
        assert_eq!(texts(&ruler), ["0", "0.25", "0.5", "0.75", "1"]);
        assert_eq!((ruler.share(0.0), ruler.share(1.0)), (0.0, 1.0));
        assert_eq!(
            texts(&Axis::new("s", Scale::Linear).ruler([])),
            ["0", "0.25", "0.5", "0.75", "1"]
        );
    }

    #[test]
    fn log_axis_has_even_decades() {
        let ruler = Axis::new("ms", Scale::Log).ruler([3.0, 40_000.0]);
        assert_eq!(texts(&ruler), ["1", "10", "100", "1000", "10 k", "100 k"]);
        assert!((ruler.share(10.0) - 0.2).abs() < 1e-9);
        assert_eq!(texts(&Axis::new("ms", Scale::Log).ruler([6.0, 30.0])), ["5", "10", "20", "50"]);
    }

    #[test]
    fn percentiles_are_as_far_apart_as_their_nines() {
        let ruler = Axis::percentiles("percentile").ruler([0.5, 0.9999]);
        assert_eq!(texts(&ruler), ["50", "90", "99", "99.9", "99.99"]);
        let step = |from: f64, to: f64| ruler.share(to) - ruler.share(from);
        assert!((step(0.9, 0.99) - step(0.99, 0.999)).abs() < 1e-9);
        assert!(ruler.share(1.0).is_finite());
    }

    #[test]
    fn own_ticks_and_values_are_within_the_ends() {
        let ruler = Axis::at("rules", Scale::Log, [10.0, 500.0]).ruler([5.0, 100.0]);
        assert_eq!(texts(&ruler), ["10", "500"]);
        assert_eq!((ruler.share(5.0), ruler.share(500.0)), (0.0, 1.0));
    }
}
