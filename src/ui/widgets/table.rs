//! Tables: a header that sorts, and rows of which only the visible ones are drawn.

use eframe::egui::{
    Align, Align2, Color32, CornerRadius, Id, Layout, Rect, Response, Role, ScrollArea, Sense, Stroke, Ui, UiBuilder,
    WidgetInfo, pos2, vec2,
};

use super::paint::{cut_line, focus_ring, galley_in, icon_at, line, veil};
use crate::ui::icons;
use crate::ui::theme::{Weight, height, radius, size, space, tokens};

/// A column.
#[derive(Clone, Copy, Debug)]
pub struct Column<'a> {
    title: &'a str,
    width: f32,
    share: f32,
    right: bool,
    sortable: bool,
}

impl<'a> Column<'a> {
    /// Text, aligned to the left; takes its share of what the fixed columns leave.
    pub fn text(title: &'a str) -> Self {
        Self { title, width: 80.0, share: 1.0, right: false, sortable: true }
    }

    /// Numbers, aligned to the right, `width_pt` wide.
    pub fn number(title: &'a str, width_pt: f32) -> Self {
        Self { title, width: width_pt, share: 0.0, right: true, sortable: true }
    }

    /// Anything, aligned to the left, `width_pt` wide; does not sort.
    pub fn fixed(title: &'a str, width_pt: f32) -> Self {
        Self { title, width: width_pt, share: 0.0, right: false, sortable: false }
    }

    /// At least this wide.
    pub fn min_width(mut self, width_pt: f32) -> Self {
        self.width = width_pt;
        self
    }

    /// Takes this share of what is left.
    pub fn share(mut self, share: f32) -> Self {
        self.share = share;
        self
    }

    /// Whether a click on its title sorts.
    pub fn sortable(mut self, sortable: bool) -> Self {
        self.sortable = sortable;
        self
    }
}

/// The order of rows. The caller sorts; the table shows it and says when it was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sort {
    /// Index of the column.
    pub column: usize,
    /// Largest first.
    pub descending: bool,
}

/// What was done to a table in this frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableResponse {
    /// The row that was clicked, or chosen with Enter or the space bar.
    pub clicked: Option<usize>,
    /// The row that was double-clicked.
    pub double_clicked: Option<usize>,
    /// Whether the order was changed.
    pub sort_changed: bool,
}

/// A table; made by [`Table::new`], shown by [`Table::show`].
#[must_use = "show it"]
#[derive(Debug)]
pub struct Table<'a> {
    id: &'a str,
    columns: &'a [Column<'a>],
    sort: Option<&'a mut Option<Sort>>,
    row_height: f32,
    max_height: f32,
    clickable: bool,
    selected: Option<usize>,
}

impl<'a> Table<'a> {
    /// A table whose rows are only looked at.
    pub fn new(id: &'a str, columns: &'a [Column<'a>]) -> Self {
        Self {
            id,
            columns,
            sort: None,
            row_height: height::ROW,
            max_height: f32::INFINITY,
            clickable: false,
            selected: None,
        }
    }

    /// Shows the order, and changes it on a click on a title.
    pub fn sort(mut self, sort: &'a mut Option<Sort>) -> Self {
        self.sort = Some(sort);
        self
    }

    /// Height of rows in points.
    pub fn row_height(mut self, height_pt: f32) -> Self {
        self.row_height = height_pt;
        self
    }

    /// Scrolls beyond this height in points.
    pub fn max_height(mut self, height_pt: f32) -> Self {
        self.max_height = height_pt;
        self
    }

    /// Rows can be clicked, and reached with the keyboard.
    pub fn clickable(mut self, selected: Option<usize>) -> Self {
        self.clickable = true;
        self.selected = selected;
        self
    }

    /// Shows `n_rows` rows; `row` is called for those that are visible and fills their cells from left to right.
    pub fn show(mut self, ui: &mut Ui, n_rows: usize, mut row: impl FnMut(usize, &mut Row<'_>)) -> TableResponse {
        let mut done = TableResponse::default();
        let base = ui.make_persistent_id(self.id);
        let spans = spans(self.columns, ui.available_width());
        let total = spans.last().map_or(0.0, |(_, to)| to + PAD);
        ui.scope(|ui| {
            ui.spacing_mut().item_spacing.y = 0.0;
            done.sort_changed = self.header(ui, base, &spans, total);
            let most = (self.max_height - HEADER).max(self.row_height);
            // As tall as its rows, also near the lower edge of what the table itself is scrolled in.
            let tall = most.min(self.row_height * n_rows as f32);
            ScrollArea::vertical()
                .id_salt(self.id)
                .auto_shrink([false, true])
                .max_height(most)
                .min_scrolled_height(tall)
                .show_rows(ui, self.row_height, n_rows, |ui, range| {
                    for idx in range {
                        let response = self.row(ui, (base, idx, idx + 1 == n_rows), &spans, total, &mut row);
                        if response.clicked() {
                            done.clicked = Some(idx);
                        }
                        if response.double_clicked() {
                            done.double_clicked = Some(idx);
                        }
                    }
                });
        });
        done
    }

    fn header(&mut self, ui: &mut Ui, base: Id, spans: &[(f32, f32)], total: f32) -> bool {
        let t = tokens(ui);
        let (_, rect) = ui.allocate_space(vec2(total, HEADER));
        ui.painter().hline(rect.x_range(), rect.bottom() - 0.5, Stroke::new(1.0, t.border));
        let order = self.sort.as_deref().copied().flatten();
        let mut changed = None;
        for (idx, (column, (from, to))) in self.columns.iter().zip(spans).enumerate() {
            let cell = Rect::from_x_y_ranges(rect.left() + from..=rect.left() + to, rect.y_range());
            let sorts = column.sortable && self.sort.is_some() && !column.title.is_empty();
            let sense = if sorts { Sense::click() } else { Sense::hover() };
            let response = ui.interact(cell.expand2(vec2(PAD / 2.0, 0.0)), base.with(("header", idx)), sense);
            let sorted = order.filter(|s| s.column == idx);
            response.widget_info(|| {
                let mut info = WidgetInfo::labeled(Role::ColumnHeader, true, column.title);
                info.current_text_value =
                    sorted.map(|s| if s.descending { "descending" } else { "ascending" }.to_owned());
                info
            });
            let colour = if sorted.is_some() || sorts && response.hovered() { t.text } else { t.text_weak };
            let mark = if sorted.is_some() { 14.0 } else { 0.0 };
            let galley = cut_line(ui, column.title, size::SMALL, Weight::Medium, colour, cell.width() - mark);
            let drawn = if column.right {
                galley_in(ui, Align2::RIGHT_CENTER, cell.right_center(), galley, colour)
            } else {
                galley_in(ui, Align2::LEFT_CENTER, cell.left_center(), galley, colour)
            };
            if let Some(sorted) = sorted {
                let arrow = if sorted.descending { icons::ARROW_DOWN } else { icons::ARROW_UP };
                let x = if column.right { drawn.left() - 8.0 } else { drawn.right() + 8.0 };
                icon_at(ui, pos2(x, cell.center().y), arrow, 11.0, colour);
            }
            focus_ring(ui, cell.shrink2(vec2(0.0, 3.0)), radius::SMALL, &response);
            if sorts && response.clicked() {
                // Numbers are first asked for the largest, names for the first.
                changed = Some(match sorted {
                    Some(sort) => Sort { column: idx, descending: !sort.descending },
                    None => Sort { column: idx, descending: column.right },
                });
            }
        }
        if let (Some(new), Some(sort)) = (changed, self.sort.as_deref_mut()) {
            *sort = Some(new);
        }
        changed.is_some()
    }

    fn row(
        &self,
        ui: &mut Ui,
        (base, idx, last): (Id, usize, bool),
        spans: &[(f32, f32)],
        total: f32,
        fill: &mut impl FnMut(usize, &mut Row<'_>),
    ) -> Response {
        let t = tokens(ui);
        let sense = if self.clickable { Sense::click() } else { Sense::hover() };
        let (_, rect) = ui.allocate_space(vec2(total, self.row_height));
        let response = ui.interact(rect, base.with(("row", idx)), sense);
        let selected = self.clickable && self.selected == Some(idx);
        // The last row lies in the rounded corners of the card around the table.
        let corner = if last { radius::CARD - 1 } else { 0 };
        let round = CornerRadius { sw: corner, se: corner, ..CornerRadius::ZERO };
        if selected {
            ui.painter().rect_filled(rect, round, t.selected);
        } else if self.clickable {
            ui.painter().rect_filled(rect, round, veil(t, &response));
        }
        if !last {
            ui.painter().hline(rect.x_range(), rect.bottom() - 0.5, Stroke::new(1.0, t.border));
        }
        let mut row = Row { ui, rect, spans, columns: self.columns, next: 0, said: String::new(), selected };
        fill(idx, &mut row);
        let said = std::mem::take(&mut row.said);
        response.widget_info(|| {
            if self.clickable {
                WidgetInfo::selected(Role::Row, true, selected, &said)
            } else {
                WidgetInfo::labeled(Role::Row, true, &said)
            }
        });
        focus_ring(ui, rect.shrink(2.0), radius::SMALL, &response);
        response
    }
}

/// Space at the left of the first and the right of the last column, and between columns.
const PAD: f32 = space::L;
const HEADER: f32 = 30.0;

/// Left and right end of each column, relative to the table.
fn spans(columns: &[Column<'_>], width: f32) -> Vec<(f32, f32)> {
    let gaps = PAD * (columns.len() + 1) as f32;
    let fixed: f32 = columns.iter().filter(|c| c.share == 0.0).map(|c| c.width).sum();
    let shares: f32 = columns.iter().map(|c| c.share).sum();
    let left_over = (width - gaps - fixed).max(0.0);
    let mut at = PAD;
    columns
        .iter()
        .map(|column| {
            let own =
                if column.share > 0.0 { (left_over * column.share / shares).max(column.width) } else { column.width };
            let span = (at, at + own);
            at += own + PAD;
            span
        })
        .collect()
}

/// The cells of a row, filled from left to right.
pub struct Row<'a> {
    ui: &'a mut Ui,
    rect: Rect,
    spans: &'a [(f32, f32)],
    columns: &'a [Column<'a>],
    next: usize,
    said: String,
    selected: bool,
}

impl Row<'_> {
    fn next_cell(&mut self) -> Option<(Rect, bool)> {
        let (from, to) = self.spans.get(self.next).copied()?;
        let right = self.columns[self.next].right;
        self.next += 1;
        let x = self.rect.left();
        Some((Rect::from_x_y_ranges(x + from..=x + to, self.rect.y_range()), right))
    }

    fn say(&mut self, text: &str) {
        if !self.said.is_empty() && !text.is_empty() {
            self.said.push_str(", ");
        }
        self.said.push_str(text);
    }

    fn write(&mut self, text: &str, weight: Weight, colour: Color32) {
        self.say(text);
        let Some((cell, right)) = self.next_cell() else { return };
        let galley = cut_line(self.ui, text, size::BODY, weight, colour, cell.width());
        if right {
            galley_in(self.ui, Align2::RIGHT_CENTER, cell.right_center(), galley, colour);
        } else {
            galley_in(self.ui, Align2::LEFT_CENTER, cell.left_center(), galley, colour);
        }
    }

    /// Text, aligned as its column is.
    pub fn text(&mut self, text: &str) {
        let t = tokens(self.ui);
        let colour = if self.selected { t.text_strong } else { t.text };
        self.write(text, Weight::Regular, colour);
    }

    /// The text that names the row.
    pub fn strong(&mut self, text: &str) {
        let colour = tokens(self.ui).text_strong;
        self.write(text, Weight::Medium, colour);
    }

    /// Secondary text.
    pub fn weak(&mut self, text: &str) {
        let colour = tokens(self.ui).text_weak;
        self.write(text, Weight::Regular, colour);
    }

    /// Text in a colour, such as that of a tone.
    pub fn coloured(&mut self, text: &str, colour: Color32) {
        self.write(text, Weight::Medium, colour);
    }

    /// A class: its colour and its name.
    pub fn class(&mut self, name: &str, colour: Color32) {
        self.say(name);
        let strong = tokens(self.ui).text_strong;
        let Some((cell, _)) = self.next_cell() else { return };
        self.ui.painter().circle_filled(pos2(cell.left() + 4.5, cell.center().y), 4.5, colour);
        let galley = cut_line(self.ui, name, size::BODY, Weight::Medium, strong, cell.width() - 17.0);
        galley_in(self.ui, Align2::LEFT_CENTER, cell.left_center() + vec2(17.0, 0.0), galley, strong);
    }

    /// A number with a bar behind it that is `fraction` of the column wide.
    pub fn bar(&mut self, text: &str, fraction: f32, colour: Color32) {
        self.say(text);
        let Some((cell, _)) = self.next_cell() else { return };
        let t = tokens(self.ui);
        let number = line(self.ui, text, size::BODY, Weight::Regular, t.text);
        let room = (number.size().x.max(48.0) + space::S).min(cell.width());
        galley_in(self.ui, Align2::RIGHT_CENTER, cell.right_center(), number, t.text);
        let y = cell.center().y;
        let track = Rect::from_x_y_ranges(cell.left()..=cell.right() - room, y - 3.0..=y + 3.0);
        if track.width() > 8.0 {
            super::bars::filled_bar(self.ui, track, colour, fraction);
        }
    }

    /// Any widgets.
    pub fn cell<R>(&mut self, add: impl FnOnce(&mut Ui) -> R) -> Option<R> {
        let (cell, right) = self.next_cell()?;
        let layout = if right { Layout::right_to_left(Align::Center) } else { Layout::left_to_right(Align::Center) };
        let builder = UiBuilder::new().max_rect(cell).layout(layout).id_salt((self.rect.top() as i64, self.next));
        let mut child = self.ui.new_child(builder);
        child.shrink_clip_rect(cell.expand(2.0).intersect(self.ui.clip_rect()));
        Some(add(&mut child))
    }

    /// An empty cell.
    pub fn skip(&mut self) {
        self.next += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_fill_the_width_without_overlap() {
        let columns = [Column::text("Class"), Column::number("n", 60.0), Column::text("Note").share(2.0)];
        let spans = spans(&columns, 500.0);
        assert!((spans[2].1 + PAD - 500.0).abs() < 0.01, "{spans:?}");
        assert!(spans.windows(2).all(|pair| pair[0].1 < pair[1].0), "{spans:?}");
        assert!((spans[2].1 - spans[2].0) > 1.9 * (spans[0].1 - spans[0].0), "{spans:?}");
    }
}
