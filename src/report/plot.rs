//! The plot of speed over position, as SVG: a failing area is a dip.
//!
//! Whole numbers only; a coordinate is exact to a hundredth of a unit.

use maud::{Markup, html};

use crate::plan::{Extent, Phase};
use crate::progress::Sample;

/// Units of the drawing, which is as wide as the page.
pub(super) const WIDTH: u64 = 720;
pub(super) const LEFT: u64 = 56;
pub(super) const RIGHT: u64 = 708;
pub(super) const TOP: u64 = 24;
/// Below the position axis: marks, numbers, its title.
const BELOW: u64 = 52;

pub(super) struct Plot<'a> {
    pub size: u64,
    pub samples: &'a [Sample],
    /// The greatest speed on the axis, so that several plots compare.
    pub greatest: u64,
    pub bad: &'a [Extent],
    pub different: &'a [Extent],
    /// Units from the greatest speed down to the position axis.
    pub height: u64,
}

/// A round number that is at least `value`, and the steps to it.
pub(super) fn axis(value: u64) -> (u64, u64) {
    // Tenths of a power of ten, and steps that stay round.
    const ROUND: [(u64, u64); 9] = [
        (10, 5),
        (15, 3),
        (20, 4),
        (30, 3),
        (40, 4),
        (50, 5),
        (60, 3),
        (80, 4),
        (100, 5),
    ];
    let mut power: u64 = 1;
    loop {
        for (tenths, steps) in ROUND {
            match tenths.checked_mul(power) {
                Some(most) if most >= value => return (most, steps),
                Some(_) => {}
                None => return (u64::MAX, 1),
            }
        }
        match power.checked_mul(10) {
            Some(next) => power = next,
            None => return (u64::MAX, 1),
        }
    }
}

/// The unit in which a number of this size is told.
fn unit(value: u64) -> (u64, &'static str) {
    [
        (1_000_000_000_000, "TB"),
        (1_000_000_000, "GB"),
        (1_000_000, "MB"),
        (1_000, "kB"),
    ]
    .into_iter()
    .find(|(divisor, _)| value >= *divisor)
    .unwrap_or((1, "bytes"))
}

/// A number in a unit, with at most two digits after the point.
fn number(value: u64, divisor: u64) -> String {
    let hundredths = u128::from(value % divisor) * 100 / u128::from(divisor);
    let text = format!("{}.{hundredths:02}", value / divisor);
    text.trim_end_matches('0').trim_end_matches('.').into()
}

/// A coordinate in hundredths of a unit.
fn coordinate(hundredths: u128) -> String {
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

impl Plot<'_> {
    fn x(&self, offset: u64) -> u128 {
        let along = u128::from(offset.min(self.size)) * u128::from(RIGHT - LEFT) * 100;
        u128::from(LEFT) * 100 + along / u128::from(self.size.max(1))
    }

    fn y(&self, speed: u64) -> u128 {
        let up = u128::from(speed.min(self.greatest)) * u128::from(self.height) * 100;
        u128::from(TOP + self.height) * 100 - up / u128::from(self.greatest.max(1))
    }

    /// A level line over each stretch, at its average speed.
    fn line(&self, phase: Phase) -> String {
        let mut points = Vec::new();
        let mut from = 0;
        for sample in self.samples.iter().filter(|sample| sample.phase == phase) {
            let y = coordinate(self.y(sample.speed));
            for offset in [from, sample.offset] {
                points.push(format!("{},{y}", coordinate(self.x(offset))));
            }
            from = sample.offset;
        }
        points.join(" ")
    }

    /// Areas as ranges of the axis, wide enough to be seen; those that touch on
    /// paper are one.
    fn marks(&self, areas: &[Extent]) -> Vec<(u128, u128)> {
        let mut marks: Vec<(u128, u128)> = Vec::new();
        for area in areas {
            let start = self.x(area.start());
            let end = self.x(area.end()).max(start + 300);
            match marks.last_mut() {
                Some((_, before)) if *before >= start => *before = end.max(*before),
                _ => marks.push((start, end)),
            }
        }
        marks
    }

    pub(super) fn svg(&self) -> Markup {
        let base = TOP + self.height;
        let (_, steps) = axis(self.greatest);
        let (speed_unit, speed_name) = unit(self.greatest);
        let (size_unit, size_name) = unit(self.size);
        let (round, parts) = axis(self.size);
        let stride = (round / parts).max(1);
        let strip = |areas: &[Extent], below: u64, class: &str| {
            html! {
                @for (start, end) in self.marks(areas) {
                    rect class=(class) x=(coordinate(start)) y=(base + below)
                        width=(coordinate(end - start)) height="6" {}
                }
            }
        };
        html! {
            svg viewBox={ "0 0 " (WIDTH) " " (base + BELOW) } role="img"
                aria-label="Speed over position" {
                @for step in 0..=steps {
                    @let speed = self.greatest / steps * step;
                    @let y = coordinate(self.y(speed));
                    line class="grid" x1=(LEFT) x2=(RIGHT) y1=(y) y2=(y) {}
                    text x=(LEFT - 6) y=(y) dy="0.35em" text-anchor="end" {
                        (number(speed, speed_unit))
                    }
                }
                @for offset in (0..=parts).map(|part| stride * part).filter(|at| *at <= self.size) {
                    @let x = coordinate(self.x(offset));
                    line class="axis" x1=(x) x2=(x) y1=(base + 16) y2=(base + 20) {}
                    text x=(x) y=(base + 32) text-anchor="middle" { (number(offset, size_unit)) }
                }
                (strip(self.bad, 2, "bad"))
                (strip(self.different, 9, "different"))
                line class="axis" x1=(LEFT) x2=(RIGHT) y1=(base) y2=(base) {}
                line class="axis" x1=(LEFT) x2=(RIGHT) y1=(base + 16) y2=(base + 16) {}
                text x=(RIGHT) y=(base + 47) text-anchor="end" { "position, " (size_name) }
                text x=(LEFT) y="10" { "speed, " (speed_name) "/s" }
                polyline class="write" points=(self.line(Phase::Write)) {}
                polyline class="read" points=(self.line(Phase::Verify)) {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: u64 = 18_000_207_937_536;

    fn sample(phase: Phase, offset: u64, speed: u64) -> Sample {
        Sample {
            pass: 1,
            phase,
            offset,
            speed,
        }
    }

    fn plot<'a>(samples: &'a [Sample], bad: &'a [Extent]) -> Plot<'a> {
        Plot {
            size: SIZE,
            samples,
            greatest: 300_000_000,
            bad,
            different: &[],
            height: 200,
        }
    }

    /// A coordinate in hundredths.
    fn read(text: &str) -> u64 {
        let (whole, part) = text.split_once('.').unwrap();
        whole.parse::<u64>().unwrap() * 100 + part.parse::<u64>().unwrap()
    }

    fn attribute<'a>(text: &'a str, name: &str) -> &'a str {
        let rest = text.split(&format!(" {name}=\"")).nth(1).unwrap();
        rest.split('"').next().unwrap()
    }

    #[test]
    fn the_points_of_the_lines_are_the_samples() {
        let written = [
            (1_000_000_000_000, 271_000_000),
            (9_000_000_000_000, 3_000_000),
            (SIZE, 130_000_000),
        ];
        let read_back = [(SIZE / 2, 280_000_000)];
        let samples: Vec<Sample> = written
            .iter()
            .map(|(at, speed)| sample(Phase::Write, *at, *speed))
            .chain(
                read_back
                    .iter()
                    .map(|(at, speed)| sample(Phase::Verify, *at, *speed)),
            )
            .collect();
        let svg = plot(&samples, &[]).svg().into_string();
        for (class, expected) in [("write", &written[..]), ("read", &read_back[..])] {
            let line = svg.split(&format!("class=\"{class}\"")).nth(1).unwrap();
            let points: Vec<(u64, u64)> = attribute(line, "points")
                .split(' ')
                .map(|point| point.split_once(',').unwrap())
                .map(|(x, y)| (read(x), read(y)))
                .collect();
            assert_eq!(points.len(), 2 * expected.len());
            let mut from = 0;
            for (pair, (at, speed)) in points.chunks(2).zip(expected) {
                for ((x, y), at) in pair.iter().zip([from, *at]) {
                    let (along, up) = (x - LEFT * 100, (TOP + 200) * 100 - y);
                    let offset = u128::from(along) * u128::from(SIZE) / 65_200;
                    let shown = u128::from(up) * 300_000_000 / 20_000;
                    let near = |a: u128, b: u64, by: u64| a.abs_diff(b.into()) <= by.into();
                    assert!(near(offset, at, SIZE / 65_200 + 1), "{offset} is not {at}");
                    assert!(near(shown, *speed, 15_000), "{shown} is not {speed}");
                }
                from = *at;
            }
        }
    }

    #[test]
    fn bad_areas_stand_where_they_are_and_are_wide_enough_to_be_seen() {
        let bad = [
            Extent::new(SIZE / 2, 512).unwrap(),
            // Less than a mark away: one.
            Extent::new(SIZE / 2 + 4096, 512).unwrap(),
            Extent::between(SIZE / 4 * 3, SIZE).unwrap(),
        ];
        let svg = plot(&[], &bad).svg().into_string();
        let marks: Vec<(u64, u64)> = svg
            .split("class=\"bad\"")
            .skip(1)
            .map(|mark| (read(attribute(mark, "x")), read(attribute(mark, "width"))))
            .collect();
        let at = |part: u64| LEFT * 100 + 65_200 / 4 * part;
        assert_eq!(marks, [(at(2), 300), (at(3), 16_300)]);
    }

    #[test]
    fn axes_are_round_and_reach_beyond_what_they_show() {
        for (value, most, steps) in [
            (0, 10, 5),
            (271_000_000, 300_000_000, 3),
            (300_000_000, 300_000_000, 3),
            (300_000_001, 400_000_000, 4),
            (SIZE, 20_000_000_000_000, 4),
        ] {
            assert_eq!(axis(value), (most, steps));
        }
        assert!(axis(u64::MAX).0 == u64::MAX);
        assert_eq!(number(150_000_000, 1_000_000), "150");
        assert_eq!(number(1_500_000_000, 1_000_000_000), "1.5");
        assert_eq!(number(0, 1_000_000), "0");
    }

    #[test]
    fn a_drive_of_one_byte_and_speeds_beyond_the_axis_are_drawn() {
        let samples = [sample(Phase::Write, u64::MAX, u64::MAX)];
        let tiny = Plot {
            size: 1,
            greatest: 0,
            ..plot(&samples, &[])
        };
        assert!(tiny.svg().into_string().contains("polyline"));
    }
}
