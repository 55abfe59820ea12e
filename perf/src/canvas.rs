//! Lines, bars and words at places in pixels, as SVG.
//!
//! Colours are roles: a report's style sheet gives each of them a value for dark surroundings, which
//! it finds by the value for light ones that stands in the SVG.

use crate::failure::Failure;
use plotters::coord::Shift;
use plotters::prelude::{
    Circle, DrawingArea, DrawingAreaErrorKind, FontDesc, FontFamily, FontStyle, IntoDrawingArea,
    PathElement, RGBColor, Rectangle, SVGBackend, ShapeStyle, Text, TextStyle,
};
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// The SVG's units per pixel: its coordinates are whole numbers, and curves want finer ones.
const DENSITY: f64 = 4.0;
/// The backend writes a font's height by this smaller.
const FONT_SCALE: f64 = 1.24;

/// What a colour is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Color {
    /// Titles and values.
    Ink,
    /// Names of axes and their ticks.
    Faint,
    /// Lines behind what is shown.
    Grid,
    /// corndog, or the only series.
    First,
    /// The others, in their order.
    Second,
    /// The third series.
    Third,
    /// The fourth.
    Fourth,
}

impl Color {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Ink, Self::Faint, Self::Grid, Self::First, Self::Second, Self::Third, Self::Fourth];

    /// The colour of the series of that index; from the fifth on they repeat.
    pub fn of_series(index: usize) -> Self {
        [Self::First, Self::Second, Self::Third, Self::Fourth][index % 4]
    }

    /// Red, green and blue, on white.
    pub fn light(self) -> (u8, u8, u8) {
        match self {
            Self::Ink => (0x1f, 0x23, 0x28),
            Self::Faint => (0x63, 0x6c, 0x76),
            Self::Grid => (0xe3, 0xe6, 0xea),
            Self::First => (0xc9, 0x51, 0x0c),
            Self::Second => (0x1f, 0x6f, 0xb2),
            Self::Third => (0x1a, 0x7f, 0x5a),
            Self::Fourth => (0x82, 0x50, 0xb5),
        }
    }

    /// On near-black.
    pub fn dark(self) -> (u8, u8, u8) {
        match self {
            Self::Ink => (0xe6, 0xea, 0xef),
            Self::Faint => (0x9a, 0xa4, 0xaf),
            Self::Grid => (0x2f, 0x36, 0x3d),
            Self::First => (0xf5, 0x92, 0x4e),
            Self::Second => (0x6c, 0xb2, 0xf2),
            Self::Third => (0x5a, 0xc8, 0x9d),
            Self::Fourth => (0xbf, 0x98, 0xee),
        }
    }

    fn rgb(self) -> RGBColor {
        let (red, green, blue) = self.light();
        RGBColor(red, green, blue)
    }
}

/// Where a text stands beside its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// It begins there.
    Start,
    /// Its middle is there.
    Middle,
    /// It ends there.
    End,
}

/// How a text looks.
#[derive(Debug, Clone, Copy)]
pub struct Lettering {
    /// Its colour.
    pub color: Color,
    /// Its height in pixels.
    pub height: f64,
    /// Whether it is bold.
    pub is_bold: bool,
}

/// A surface of some width and height; places are pixels from its top left corner.
pub struct Canvas<'a>(DrawingArea<SVGBackend<'a>, Shift>);

/// An SVG of that width and height in pixels, of what `draw` draws.
pub fn svg(
    (width, height): (f64, f64),
    draw: impl FnOnce(&Canvas<'_>) -> Result<(), Failure>,
) -> Result<String, Failure> {
    let (columns, rows) = ((width * DENSITY) as u32, (height * DENSITY) as u32);
    let mut svg = String::new();
    let canvas = Canvas(SVGBackend::with_string(&mut svg, (columns, rows)).into_drawing_area());
    draw(&canvas)?;
    canvas.0.present().map_err(broken)?;
    drop(canvas);
    // In its units it would be shown too large; its box of view stays as it is.
    let size = format!("width=\"{columns}\" height=\"{rows}\"");
    Ok(svg.replacen(&size, &format!("width=\"{width:.0}\" height=\"{height:.0}\""), 1))
}

impl Canvas<'_> {
    /// A line through these places.
    pub fn line(
        &self,
        places: impl IntoIterator<Item = (f64, f64)>,
        color: Color,
        width: f64,
    ) -> Result<(), Failure> {
        let places: Vec<_> = places.into_iter().map(units).collect();
        let style = ShapeStyle::from(color.rgb()).stroke_width((width * DENSITY) as u32);
        self.0.draw(&PathElement::new(places, style)).map_err(broken)
    }

    /// A dashed line from one place to another on its right.
    pub fn dashes(&self, from: (f64, f64), until: (f64, f64), color: Color) -> Result<(), Failure> {
        const DASH: f64 = 4.0;
        let count = ((until.0 - from.0) / (2.0 * DASH)).max(0.0) as u32;
        let slope = (until.1 - from.1) / (until.0 - from.0).max(1.0);
        for dash in 0..=count {
            let start = from.0 + f64::from(dash) * 2.0 * DASH;
            let end = (start + DASH).min(until.0);
            let height = |x: f64| from.1 + (x - from.0) * slope;
            self.line([(start, height(start)), (end, height(end))], color, 1.0)?;
        }
        Ok(())
    }

    /// A filled disc.
    pub fn dot(&self, at: (f64, f64), radius: f64, color: Color) -> Result<(), Failure> {
        let style = ShapeStyle::from(color.rgb()).filled();
        self.0.draw(&Circle::new(units(at), (radius * DENSITY) as i32, style)).map_err(broken)
    }

    /// A filled rectangle.
    pub fn bar(&self, from: (f64, f64), until: (f64, f64), color: Color) -> Result<(), Failure> {
        let style = ShapeStyle::from(color.rgb()).filled();
        self.0.draw(&Rectangle::new([units(from), units(until)], style)).map_err(broken)
    }

    /// A text, its middle at that height.
    pub fn text(
        &self,
        at: (f64, f64),
        text: &str,
        align: Align,
        lettering: Lettering,
    ) -> Result<(), Failure> {
        let style = if lettering.is_bold { FontStyle::Bold } else { FontStyle::Normal };
        let height = lettering.height * DENSITY * FONT_SCALE;
        let font = FontDesc::new(FontFamily::SansSerif, height, style);
        let horizontal = match align {
            Align::Start => HPos::Left,
            Align::Middle => HPos::Center,
            Align::End => HPos::Right,
        };
        let color = lettering.color.rgb();
        let style = TextStyle::from(font).color(&color);
        let style = style.pos(Pos::new(horizontal, VPos::Center));
        self.0.draw(&Text::new(text.to_owned(), units(at), style)).map_err(broken)
    }
}

fn units((x, y): (f64, f64)) -> (i32, i32) {
    ((x * DENSITY).round() as i32, (y * DENSITY).round() as i32)
}

fn broken<E: std::error::Error + Send + Sync>(error: DrawingAreaErrorKind<E>) -> Failure {
    Failure::Run(format!("a chart cannot be drawn: {error}"))
}
