//! Horizontal bars in groups on a logarithmic axis, as an SVG.

use std::fmt::{self, Display, Formatter};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::numbers::rounded;

/// A bar chart; prints as SVG.
#[derive(Debug)]
pub(crate) struct Chart {
    pub(crate) title: String,
    /// What the axis shows, and in which unit.
    pub(crate) axis: String,
    /// What the bars of a group stand for, in their order.
    pub(crate) series: Vec<String>,
    pub(crate) groups: Vec<Group>,
}

/// Bars that belong together.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) name: String,
    /// One for each of the series; none where there is nothing to show.
    pub(crate) values: Vec<Option<f64>>,
}

/// Colours that people who see fewer of them can tell apart too (Okabe and Ito).
const COLOURS: [&str; 7] = [
    "#0072b2", "#56b4e9", "#cc79a7", "#999999", "#e69f00", "#009e73", "#d55e00",
];

// Lengths in pixels.
const WIDTH: f64 = 960.0;
const MARGIN: f64 = 24.0;
const LEFT: f64 = 170.0;
const RIGHT: f64 = 90.0;
const TOP: f64 = 92.0;
const BOTTOM: f64 = 56.0;
const BAR: f64 = 13.0;
const BAR_PITCH: f64 = 15.0;
const GROUP_GAP: f64 = 18.0;
/// About the width of a character in the legend.
const CHARACTER: f64 = 7.0;

impl Chart {
    /// Writes the chart into `file`, whose folder is created if need be.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn write(&self, file: &Path) -> Result<()> {
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(file, self.to_string())
            .with_context(|| format!("cannot write {}", file.display()))
    }

    fn group_height(&self) -> f64 {
        self.series.iter().map(|_| BAR_PITCH).sum::<f64>() + GROUP_GAP
    }

    /// Height of the part with the bars.
    fn plot_height(&self) -> f64 {
        self.groups.iter().map(|_| self.group_height()).sum()
    }

    fn scale(&self) -> Scale {
        let values = self.groups.iter().flat_map(|group| &group.values).flatten();
        let logarithms = values
            .filter(|&&value| value > 0.0)
            .map(|value| value.log10());
        let (least, greatest) = logarithms
            .fold((f64::MAX, f64::MIN), |(least, greatest), value| {
                (least.min(value), greatest.max(value))
            });
        if least > greatest {
            return Scale {
                first: 0.0,
                last: 1.0,
            };
        }
        // A little room, or the smallest bar could have no length.
        let first = (least - 0.05).floor();
        Scale {
            first,
            last: greatest.ceil().max(first + 1.0),
        }
    }

    fn legend(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut x = MARGIN;
        for (name, colour) in self.series.iter().zip(COLOURS.iter().cycle()) {
            let (text_x, name) = (x + 18.0, escaped(name));
            writeln!(
                f,
                r#"<rect x="{x}" y="52" width="12" height="12" rx="2" fill="{colour}"/>"#
            )?;
            writeln!(f, r#"<text x="{text_x}" y="62">{name}</text>"#)?;
            x = name.chars().fold(text_x, |x, _| x + CHARACTER) + 16.0;
        }
        Ok(())
    }

    /// A line and a number for every power of ten.
    fn grid(&self, f: &mut Formatter<'_>, scale: Scale) -> fmt::Result {
        let (top, bottom) = (TOP - 10.0, TOP + self.plot_height());
        let mut power = scale.first;
        while power <= scale.last {
            let (x, y) = (scale.x(power), bottom + 18.0);
            let number = rounded(10_f64.powf(power));
            writeln!(
                f,
                r##"<path d="M{x:.1} {top}V{bottom}" stroke="#dddddd"/>"##
            )?;
            writeln!(
                f,
                r#"<text x="{x:.1}" y="{y}" text-anchor="middle" class="quiet">{number}</text>"#
            )?;
            power += 1.0;
        }
        let (x, y) = (f64::midpoint(LEFT, WIDTH - RIGHT), bottom + 40.0);
        let axis = escaped(&self.axis);
        writeln!(
            f,
            r#"<text x="{x}" y="{y}" text-anchor="middle" class="quiet">{axis}</text>"#
        )
    }

    fn bars(&self, f: &mut Formatter<'_>, scale: Scale) -> fmt::Result {
        let mut top = TOP;
        for Group { name, values } in &self.groups {
            let middle = top + (self.group_height() - GROUP_GAP) / 2.0 + 4.0;
            let (x, name) = (LEFT - 12.0, escaped(name));
            writeln!(
                f,
                r#"<text x="{x}" y="{middle}" text-anchor="end">{name}</text>"#
            )?;
            let mut y = top;
            for (value, colour) in values.iter().zip(COLOURS.iter().cycle()) {
                bar(f, scale, y, *value, colour)?;
                y += BAR_PITCH;
            }
            top += self.group_height();
        }
        Ok(())
    }
}

fn bar(
    f: &mut Formatter<'_>,
    scale: Scale,
    y: f64,
    value: Option<f64>,
    colour: &str,
) -> fmt::Result {
    let end = value
        .filter(|&value| value > 0.0)
        .map_or(LEFT, |value| scale.x(value.log10()));
    let number = value.map_or_else(|| "-".to_owned(), rounded);
    let (length, text_x, text_y) = (end - LEFT, end + 5.0, y + BAR - 2.5);
    writeln!(
        f,
        r#"<rect x="{LEFT}" y="{y}" width="{length:.1}" height="{BAR}" rx="2" fill="{colour}"/>"#
    )?;
    writeln!(
        f,
        r#"<text x="{text_x:.1}" y="{text_y}" class="value">{number}</text>"#
    )
}

impl Display for Chart {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (height, scale) = (TOP + self.plot_height() + BOTTOM, self.scale());
        writeln!(
            f,
            r#"<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}">"#
        )?;
        writeln!(
            f,
            "<style>text{{font:12px system-ui,sans-serif;fill:#222222}}"
        )?;
        writeln!(f, ".title{{font-size:18px;font-weight:600}}")?;
        writeln!(f, ".quiet{{fill:#666666}}.value{{font-size:11px}}</style>")?;
        writeln!(
            f,
            r##"<rect width="{WIDTH}" height="{height}" rx="8" fill="#ffffff"/>"##
        )?;
        let title = escaped(&self.title);
        writeln!(
            f,
            r#"<text x="{MARGIN}" y="34" class="title">{title}</text>"#
        )?;
        self.legend(f)?;
        self.grid(f, scale)?;
        self.bars(f, scale)?;
        writeln!(f, "</svg>")
    }
}

/// From one power of ten to another, given by their exponents.
#[derive(Clone, Copy, Debug)]
struct Scale {
    first: f64,
    last: f64,
}

impl Scale {
    /// Where the number with this logarithm is.
    fn x(self, logarithm: f64) -> f64 {
        let part = (logarithm - self.first) / (self.last - self.first);
        LEFT + part * (WIDTH - RIGHT - LEFT)
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_grow_by_the_logarithm() {
        let group = |values: &[f64]| Group {
            name: "a < b".to_owned(),
            values: values.iter().copied().map(Some).chain([None]).collect(),
        };
        let chart = Chart {
            title: "T".to_owned(),
            axis: "ns".to_owned(),
            series: ["x", "y", "z"].map(String::from).to_vec(),
            groups: vec![group(&[100.0, 1_000.0]), group(&[10_000.0, 50.0])],
        };
        let svg = chart.to_string();
        // From 10 to 10,000: three powers of ten on 700 pixels.
        for length in ["233.3", "466.7", "700.0", "0.0"] {
            assert!(
                svg.contains(&format!(r#"width="{length}""#)),
                "{length} in {svg}"
            );
        }
        assert!(svg.contains("a &lt; b"), "{svg}");
        assert!(svg.contains(">10,000</text>"), "{svg}");
    }
}
