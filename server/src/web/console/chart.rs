//! Charts, drawn on the server as SVG.
//!
//! Across, positions are percentages of the width and down they are pixels, so a chart fills its
//! box and its letters keep their size, on a phone as on a wide screen, without a script. The
//! figures stand below in a table as well; the drawing is a picture with a name.

use super::format::clock;

/// Height of the plot, in pixels.
const PLOT: f64 = 132.0;
/// Room above the plot for half a letter, and below it for the times.
const TOP: f64 = 8.0;
const BELOW: f64 = 22.0;
/// Share of a bar's place that the bar fills.
const FILLED: f64 = 0.72;
/// Times along the bottom.
const TIMES: usize = 4;
/// A line of more values than this is drawn without dots.
const DOTS: usize = 24;
/// Steps of a time scale beyond ten seconds.
const CLOCK: [f64; 13] = [
    10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1_800.0, 3_600.0, 7_200.0, 21_600.0,
    86_400.0,
];

/// What a chart is drawn from.
pub(super) struct Plot<'a> {
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    /// A sentence that says what a reader of the drawing would see.
    pub(super) description: String,
    /// Unix seconds at which each place begins, evenly spaced.
    pub(super) times: &'a [i64],
    /// Stacked, the first at the bottom.
    pub(super) bars: Vec<Series>,
    pub(super) line: Option<Series>,
    /// Writes a value at the side.
    pub(super) unit: fn(f64) -> String,
    pub(super) scale: Scale,
}

/// Where the rules across stand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Scale {
    /// At 1, 2 or 5 times a power of ten.
    Decimal,
    /// At seconds, minutes and hours as clocks have them.
    Time,
}

/// One value for each place; a line leaves places without value out.
pub(super) struct Series {
    pub(super) name: &'static str,
    /// Which colour: a letter of the palette.
    pub(super) colour: char,
    pub(super) values: Vec<Option<f64>>,
}

/// A chart, ready for its template: numbers as text.
pub(super) struct Chart {
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    pub(super) description: String,
    pub(super) height: String,
    pub(super) base: String,
    pub(super) rules: Vec<Rule>,
    pub(super) times: Vec<Time>,
    pub(super) bars: Vec<Bar>,
    pub(super) segments: Vec<Segment>,
    pub(super) dots: Vec<Dot>,
    pub(super) hits: Vec<Hit>,
    pub(super) legend: Vec<(char, &'static str)>,
}

/// A line across, with its value.
pub(super) struct Rule {
    pub(super) y: String,
    pub(super) text_y: String,
    pub(super) text: String,
}

pub(super) struct Time {
    pub(super) x: String,
    pub(super) y: String,
    pub(super) anchor: &'static str,
    pub(super) text: String,
}

pub(super) struct Bar {
    pub(super) x: String,
    pub(super) y: String,
    pub(super) width: String,
    pub(super) height: String,
    pub(super) colour: char,
}

pub(super) struct Segment {
    pub(super) x1: String,
    pub(super) y1: String,
    pub(super) x2: String,
    pub(super) y2: String,
    pub(super) colour: char,
}

/// A value of a line.
pub(super) struct Dot {
    pub(super) x: String,
    pub(super) y: String,
    pub(super) colour: char,
}

/// A place that tells its values when pointed at.
pub(super) struct Hit {
    pub(super) x: String,
    pub(super) width: String,
    pub(super) height: String,
    pub(super) text: String,
}

/// A number for an attribute: two digits are a hundredth of a pixel.
fn number(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn percent(value: f64) -> String {
    format!("{}%", number(value))
}

fn step(most: f64, scale: Scale) -> f64 {
    let clock = CLOCK.iter().copied().find(|step| step * 4.0 >= most);
    match (scale, clock) {
        (Scale::Time, Some(step)) if most > 20.0 => step,
        (Scale::Time | Scale::Decimal, _) => decimal_step(most),
    }
}

/// The distance between rules: 1, 2 or 5 times a power of ten, at most four of them.
fn decimal_step(most: f64) -> f64 {
    if most <= 0.0 || !most.is_finite() {
        return 1.0;
    }
    let raw = most / 4.0;
    let power = 10f64.powf(raw.log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .iter()
        .map(|factor| factor * power)
        .find(|step| *step >= raw * 0.999)
        .unwrap_or(power * 10.0)
}

impl Plot<'_> {
    fn most(&self) -> f64 {
        let stacked = (0..self.times.len())
            .map(|at| self.bars.iter().filter_map(|series| series.values.get(at).copied()?).sum());
        let line = self.line.iter().flat_map(|series| series.values.iter().flatten().copied());
        stacked.chain(line).fold(0.0, f64::max)
    }

    /// Draws.
    pub(super) fn draw(self, at_least: f64) -> Chart {
        let step = step(self.most().max(at_least), self.scale);
        let rules_count = (self.most().max(at_least) / step).ceil().max(1.0);
        let top = step * rules_count;
        let y = |value: f64| TOP + PLOT * (1.0 - value / top);
        let place = 100.0 / self.times.len().max(1) as f64;
        let mut rules = Vec::new();
        let mut at = 0.0;
        while at <= rules_count {
            let value = at * step;
            rules.push(Rule {
                y: number(y(value).round()),
                text_y: number(y(value).round() + 4.0),
                text: (self.unit)(value),
            });
            at += 1.0;
        }
        let points = self.points(place, &y);
        Chart {
            id: self.id,
            title: self.title,
            height: number(TOP + PLOT + BELOW),
            base: number((TOP + PLOT).round()),
            rules,
            times: self.times_along(place),
            bars: self.stack(place, &y),
            segments: self.segments(&points),
            dots: self.dots(&points),
            hits: self.hits(place),
            legend: self.bars.iter().chain(&self.line).map(|s| (s.colour, s.name)).collect(),
            description: self.description,
        }
    }

    fn times_along(&self, place: f64) -> Vec<Time> {
        let count = self.times.len();
        let every = count.div_ceil(TIMES).max(1);
        let marks = self.times.iter().enumerate().step_by(every);
        marks
            .map(|(at, time)| Time {
                x: percent(at as f64 * place),
                y: number(TOP + PLOT + 16.0),
                anchor: "start",
                text: clock(*time),
            })
            .collect()
    }

    fn stack(&self, place: f64, y: &impl Fn(f64) -> f64) -> Vec<Bar> {
        let mut bars = Vec::new();
        for at in 0..self.times.len() {
            let mut below = 0.0;
            for series in &self.bars {
                let value = series.values.get(at).copied().flatten().unwrap_or(0.0);
                if value <= 0.0 {
                    continue;
                }
                let (low, high) = (y(below), y(below + value));
                below += value;
                bars.push(Bar {
                    x: percent(at as f64 * place + place * (1.0 - FILLED) / 2.0),
                    // What happened is seen, however little it was.
                    y: number(high.min(low - 1.0)),
                    width: percent(place * FILLED),
                    height: number((low - high).max(1.0)),
                    colour: series.colour,
                });
            }
        }
        bars
    }

    /// The values of the line: across in percent, down in pixels.
    fn points(&self, place: f64, y: &impl Fn(f64) -> f64) -> Vec<(f64, f64)> {
        let values = self.line.iter().flat_map(|series| series.values.iter().enumerate());
        let point = |(at, value): (usize, &Option<f64>)| {
            Some((at as f64 * place + place / 2.0, y((*value)?)))
        };
        values.filter_map(point).collect()
    }

    fn dots(&self, points: &[(f64, f64)]) -> Vec<Dot> {
        let colour = self.line.as_ref().map_or('d', |series| series.colour);
        if points.len() > DOTS {
            return Vec::new();
        }
        points.iter().map(|(x, y)| Dot { x: percent(*x), y: number(*y), colour }).collect()
    }

    /// From each value to the next place that has one.
    fn segments(&self, points: &[(f64, f64)]) -> Vec<Segment> {
        let colour = self.line.as_ref().map_or('d', |series| series.colour);
        let segment = |pair: &[(f64, f64)]| Segment {
            x1: percent(pair[0].0),
            y1: number(pair[0].1),
            x2: percent(pair[1].0),
            y2: number(pair[1].1),
            colour,
        };
        points.windows(2).map(segment).collect()
    }

    fn hits(&self, place: f64) -> Vec<Hit> {
        let hit = |(at, time): (usize, &i64)| {
            let said = self.bars.iter().chain(&self.line).filter_map(|series| {
                let value = series.values.get(at).copied().flatten()?;
                (value > 0.0).then(|| format!("{} {}", series.name, (self.unit)(value)))
            });
            let said: Vec<String> = said.collect();
            (!said.is_empty()).then(|| Hit {
                x: percent(at as f64 * place),
                width: percent(place),
                height: number(TOP + PLOT),
                text: format!("{} UTC: {}", clock(*time), said.join(", ")),
            })
        };
        self.times.iter().enumerate().filter_map(hit).collect()
    }
}

/// Parts of a whole, side by side: start and width in percent.
pub(super) fn shares(values: &[u64], whole: u64) -> Vec<(String, String)> {
    let mut at = 0.0;
    let share = |value: u64| if whole == 0 { 0.0 } else { value as f64 * 100.0 / whole as f64 };
    values
        .iter()
        .map(|value| {
            let width = share(*value);
            let start = at;
            at += width;
            (percent(start), percent(width))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(bars: Vec<Vec<Option<f64>>>, line: Option<Vec<Option<f64>>>) -> Chart {
        let series = |values| Series { name: "n", colour: 'a', values };
        Plot {
            id: "x",
            title: "X",
            description: String::new(),
            times: &[0, 60, 120, 180],
            bars: bars.into_iter().map(series).collect(),
            line: line.map(series),
            unit: |value| value.to_string(),
            scale: Scale::Decimal,
        }
        .draw(0.0)
    }

    #[test]
    fn rules_stand_at_round_numbers_and_reach_above_the_most() {
        for (most, expected) in
            [(0.0, 1.0), (1.0, 0.5), (3.0, 1.0), (4.0, 1.0), (7.0, 2.0), (90.0, 50.0), (1e9, 5e8)]
        {
            assert_eq!(step(most, Scale::Decimal), expected, "{most}");
        }
        let chart = plot(vec![vec![Some(7.0), None, None, Some(1.0)]], None);
        assert_eq!(chart.rules.last().unwrap().text, "8");
        assert_eq!(chart.rules.last().unwrap().y, "8", "the highest rule is the top");
    }

    #[test]
    fn times_have_the_rules_of_a_clock() {
        for (most, expected) in [(0.2, 0.05), (15.0, 5.0), (50.0, 15.0), (301.0, 120.0), (1e7, 5e6)]
        {
            assert_eq!(step(most, Scale::Time), expected, "{most}");
        }
    }

    #[test]
    fn stacked_bars_stand_on_one_another() {
        let chart = plot(vec![vec![Some(2.0)], vec![Some(2.0)]], None);
        let [low, high] = chart.bars.as_slice() else { panic!("two bars") };
        let edge = |bar: &Bar| bar.y.parse::<f64>().unwrap() + bar.height.parse::<f64>().unwrap();
        assert_eq!(edge(low), TOP + PLOT);
        assert_eq!(edge(high), low.y.parse::<f64>().unwrap());
        assert_eq!(high.y, "8", "four of four reaches the top");
    }

    #[test]
    fn a_line_passes_over_places_without_a_value() {
        let chart = plot(vec![], Some(vec![Some(1.0), None, Some(2.0), None]));
        assert_eq!(chart.segments.len(), 1);
        assert_eq!(
            (chart.segments[0].x1.as_str(), chart.segments[0].x2.as_str()),
            ("12.5%", "62.5%")
        );
        assert_eq!(chart.dots.len(), 2);
    }

    #[test]
    fn nothing_at_all_is_drawn_as_an_empty_chart() {
        let chart = plot(vec![], None);
        assert!(chart.bars.is_empty() && chart.segments.is_empty() && chart.hits.is_empty());
        assert_eq!(chart.rules.len(), 2);
    }

    #[test]
    fn shares_lie_side_by_side() {
        assert_eq!(
            shares(&[1, 3], 8),
            [("0%".to_owned(), "12.5%".to_owned()), ("12.5%".to_owned(), "37.5%".to_owned())]
        );
        assert_eq!(shares(&[1], 0)[0].1, "0%");
    }
}
