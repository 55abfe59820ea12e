//! Texts and tones -> cells of the screen.
//!
//! Colours are of the middle of the 256, which can be read on light and on dark; badges bring their
//! own background. The terminal's own black, white and yellow are not used. What a colour says, a
//! word or a mark says too.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};

use crate::top::grid::{Cell, GAP, Tone};
use crate::top::units;

const GREEN: Color = Color::Indexed(28);
const ORANGE: Color = Color::Indexed(166);
const RED: Color = Color::Indexed(160);
const BLUE: Color = Color::Indexed(32);
const PURPLE: Color = Color::Indexed(133);
const WHITE: Color = Color::Indexed(231);

/// Messages that come in, and time that is spent on them.
pub const IN: Style = Style::new().fg(BLUE);
/// Records that are acknowledged.
pub const OUT: Style = Style::new().fg(GREEN);
/// What is lost.
pub const LOST: Style = Style::new().fg(RED);
/// How long it takes.
pub const TIME: Style = Style::new().fg(PURPLE);
/// A label.
pub const DIM: Style = Style::new().add_modifier(Modifier::DIM);
/// A figure that matters.
pub const BOLD: Style = Style::new().add_modifier(Modifier::BOLD);
/// What a key is called.
pub const KEY: Style = Style::new().add_modifier(Modifier::BOLD);

/// How a tone looks.
pub fn style(tone: Tone) -> Style {
    match tone {
        Tone::Plain => Style::new(),
        Tone::Dim => DIM,
        Tone::Good => Style::new().fg(GREEN),
        Tone::Warn => Style::new().fg(ORANGE).add_modifier(Modifier::BOLD),
        Tone::Bad => Style::new().fg(RED).add_modifier(Modifier::BOLD),
    }
}

/// How a badge looks.
pub fn badge(tone: Tone) -> Style {
    let colour = match tone {
        Tone::Plain | Tone::Dim => return BOLD.add_modifier(Modifier::REVERSED),
        Tone::Good => GREEN,
        Tone::Warn => ORANGE,
        Tone::Bad => RED,
    };
    Style::new().fg(WHITE).bg(colour).add_modifier(Modifier::BOLD)
}

/// A text on a line; `rank` says which goes first where room is short, 0 stays.
#[derive(Debug, Clone)]
pub struct Piece {
    /// What it says.
    pub text: String,
    /// How it looks.
    pub style: Style,
    /// The highest goes first.
    pub rank: u8,
}

/// A piece of a line.
pub fn piece(text: impl Into<String>, style: Style, rank: u8) -> Piece {
    Piece { text: text.into(), style, rank }
}

/// The area's line at `row`, if it has one.
pub fn line_of(area: Rect, row: u16) -> Rect {
    let height = u16::from(row < area.height);
    Rect { y: area.y.saturating_add(row.min(area.height)), height, ..area }
}

/// The area from its line `row` on.
pub fn line_of_rest(area: Rect, row: u16) -> Rect {
    let row = row.min(area.height);
    Rect { y: area.y + row, height: area.height - row, ..area }
}

/// Writes a text, cut at the area's end; the columns that it took.
pub fn put(buffer: &mut Buffer, area: Rect, text: &str, style: Style) -> u16 {
    let area = area.intersection(buffer.area);
    if area.is_empty() {
        return 0;
    }
    let text = units::clean(text, area.width.into());
    // What was there before, a rule's dimness, goes.
    let style = Style::reset().patch(style);
    let (x, _) = buffer.set_stringn(area.x, area.y, &text, area.width.into(), style);
    x - area.x
}

/// The area without its first columns.
pub fn after(area: Rect, columns: u16) -> Rect {
    let columns = columns.min(area.width);
    Rect { x: area.x + columns, width: area.width - columns, ..area }
}

/// Writes a text that ends at the area's end; the area before it.
pub fn put_right(buffer: &mut Buffer, area: Rect, text: &str, style: Style) -> Rect {
    let width = (units::width(text) as u16).min(area.width);
    put(buffer, after(area, area.width - width), text, style);
    Rect { width: area.width.saturating_sub(width + 1), ..area }
}

/// Writes the pieces that fit, with room between them; the area after them.
pub fn put_pieces(buffer: &mut Buffer, mut area: Rect, pieces: &[Piece], gap: u16) -> Rect {
    let mut chosen: Vec<&Piece> = pieces.iter().filter(|piece| !piece.text.is_empty()).collect();
    let needed = |chosen: &[&Piece]| {
        let gaps = usize::from(gap) * chosen.len().saturating_sub(1);
        chosen.iter().map(|piece| units::width(&piece.text)).sum::<usize>() + gaps
    };
    while needed(&chosen) > area.width.into() {
        match (0..chosen.len()).max_by_key(|place| chosen[*place].rank) {
            Some(place) if chosen[place].rank > 0 => chosen.remove(place),
            _ => break,
        };
    }
    for piece in chosen {
        let columns = put(buffer, area, &piece.text, piece.style);
        area = after(area, columns.saturating_add(gap));
    }
    area
}

/// Writes the cells of a line of a table.
pub fn put_cells(buffer: &mut Buffer, mut area: Rect, cells: &[Cell]) {
    for cell in cells {
        let columns = put(buffer, area, &cell.text, style(cell.tone));
        area = after(area, columns.saturating_add(GAP as u16));
    }
}

/// Writes cells one after another on the area's lines; what has no room is counted at the end.
pub fn put_flow(buffer: &mut Buffer, area: Rect, cells: &[Cell]) {
    let (mut row, mut column) = (0, 0);
    for (index, cell) in cells.iter().enumerate() {
        let left = cells.len() - index;
        let width = units::width(&cell.text) as u16;
        let rest = format!("+{left} more");
        // On the last line, room for the count of the others stays free.
        let fits = |row: u16, column: u16| {
            let is_tight = row + 1 >= area.height && left > 1;
            let spare = if is_tight { rest.len() as u16 + GAP as u16 } else { 0 };
            column.saturating_add(width).saturating_add(spare) <= area.width
        };
        if !fits(row, column) && column > 0 && row + 1 < area.height {
            (row, column) = (row + 1, 0);
        }
        let line = after(line_of(area, row), column);
        if !fits(row, column) && index > 0 {
            put(buffer, line, &rest, BOLD);
            return;
        }
        column += put(buffer, line, &cell.text, style(cell.tone)) + GAP as u16;
    }
}

/// A rule over a part, or a box around it, with a title; what is inside.
pub fn frame(
    buffer: &mut Buffer,
    area: Rect,
    title: &[Piece],
    right: &Piece,
    is_box: bool,
) -> Rect {
    if area.is_empty() {
        return area;
    }
    let top = Rect { height: 1, ..area };
    let inner = if is_box {
        use ratatui::widgets::{Block, BorderType, Widget as _};
        let block = Block::bordered().border_type(BorderType::Rounded).border_style(DIM);
        let inner = block.inner(area);
        block.render(area, buffer);
        Rect { x: inner.x + 1, width: inner.width.saturating_sub(2), ..inner }
    } else {
        put(buffer, top, &"\u{2500}".repeat(area.width.into()), DIM);
        Rect { y: area.y + 1, height: area.height - 1, ..area }
    };
    let lead = 1 + u16::from(is_box);
    let mut room = after(Rect { width: top.width - u16::from(is_box), ..top }, lead);
    let least = title.iter().filter(|piece| piece.rank == 0);
    let least: usize = least.map(|piece| units::width(&piece.text)).sum();
    let needed = units::width(&right.text) + least + 6;
    if !right.text.is_empty() && needed <= usize::from(room.width) {
        room.width -= 1;
        room = put_right(buffer, room, &format!(" {} ", right.text), right.style);
    }
    let mut pieces = title.to_vec();
    if let Some(first) = pieces.first_mut() {
        first.text.insert(0, ' ');
    }
    // Titles are read as one text on the rule.
    let rest = put_pieces(buffer, room, &pieces, 0);
    put(buffer, rest, " ", Style::new());
    inner
}

/// No text at a frame's right.
pub fn nothing() -> Piece {
    piece("", Style::new(), 0)
}
