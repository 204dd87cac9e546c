//! The widgets of which the screen is made. They take plain values, know nothing of the application, and carry accessible
//! names (tests: `get_by_label`). Colours, distances and sizes come from [`crate::ui::theme`]; text that is not made
//! here should not need a `RichText` with a size or a colour of its own. `ui: &mut Ui` is left out below; `R` is
//! `Response`, `IR<T>` is `InnerResponse<T>`. Icons are constants in [`crate::ui::icons`].
//!
//! ```text
//! text        heading title strong body weak small caption selectable one_line (text: &str) -> R
//!             separator() -> R
//!             section_heading(text, trailing: |ui|)           place_header(title, state: &str, actions: |ui|)
//! layout      Card::new().title(..).note(..).selected(bool).flush()
//!                 .show(body) -> IR<T>   .show_with(trailing, body) -> IR<T>   .show_clickable(label, body) -> IR<T>
//!             columns(shares: &[f32], |ui, idx|)  stacks them where it is narrow
//!             stack(gap_pt, |ui|)  flow(|ui|)  wrapping chips   row_ends(left: |ui|, right: |ui|)
//!             skeleton(Vec2) -> R    skeleton_at(Rect)
//! buttons     primary_button button quiet_button danger_button link_button (text) -> R
//!             icon_button(icon, label) -> R
//!             ui.add(Button::new(text) | Button::icon_only(icon, label)  .primary() .quiet() .danger() .kind(Kind)
//!                 .icon(..) .trailing_icon(..) .small() .large() .min_width(pt) .fill_width() .selected(bool)
//!                 .enabled(bool) .availability(Result<(), &str>) .tip(..) .shortcut("Ctrl+K") .label(..)) -> R
//! menus       menu_button(Button, |ui|) -> IR<Option<T>>     context_menu(&R, |ui|) -> Option<T>
//!             menu_item(icon, text, shortcut: Option<&str>) -> R    menu_item_danger(icon, text) -> R
//!             menu_choice(text, chosen) -> R    menu_heading(text)    menu_separator()
//! choosing    segmented(label, &mut T, &[(T, text)]) -> R    segmented_icons(label, &mut T, &[(T, icon, label)]) -> R
//!             select(label, &mut T, &[(T, text)]) -> R       toggle(&mut bool, label) -> R
//!             checkbox(&mut bool, label) -> R                slider(label, &mut f32, range, format: |f32| String) -> R
//! fields      text_field(label, &mut String, hint) -> FieldEvent    {None Changed Commit Cancel Browse}
//!             checked_field(.., error: Option<&str>) -> FieldEvent  path_field(label, &mut String, hint) -> FieldEvent
//!             rename_field(Id, label, &mut String) -> FieldEvent    search_field(label, &mut String, hint) -> R
//!             text_area(label, &mut String, hint, n_rows) -> R      well(|ui|)
//!             Field::new(label).hint .icon .width .mono .invalid .focus .id .show(&mut String) -> (FieldEvent, R)
//! marks       badge(text, Meaning) -> R     badge_icon(icon, text, Meaning) -> R    {Neutral Accent Positive Warning Negative}
//!             count_pill(usize, Meaning) -> R    kbd("Ctrl+K") -> R
//!             class_chip(name, Color32) -> R     class_dot(Color32) -> R
//!             list_row(ListRow { text, colour, icon, count, key, selected, drop_target }) -> R
//! figures     stat(caption, value, detail) -> R    stat_toned(.., Meaning) -> R
//!             key_values(&[(key, value)])    key_value_ui(key, key_width, |ui|)    form_row(name, key_width, help, |ui|)
//!             probability_bar(label, Color32, p: f32, strong: bool) -> R    percent(f32) -> "93.4 %"
//!             interval_row(label, Interval::new(value, low, high), Color32, strong) -> R    interval_bar(..) -> R
//!             spark_bars(label, &[f32], Color32, height_pt) -> R    filled_bar(Rect, Color32, fraction)
//!             chart(label, height_pt, (ChartAxis::new(name) | ::fraction(name)  .bounds(a, b) .step(d) .format(fn(f64) -> String),
//!                 ChartAxis), |plot_ui|) -> PlotResponse<T>    legend(&[(name, Color32)]) -> R
//! scatter     Scatter: set(Vec<Dot>) fit() zoom_by pan_by ui(label) -> ScatterResponse; 100,000 points, lasso (see `scatter`)
//! waiting     progress_bar(label, Option<f32>) -> R    spinner(label, size_pt) -> R    busy_line(label) -> R
//! notices     Banner::new(Meaning, title).text(..).actions(&[..]).dismissible().show() -> NoticeEvent
//!             toast_area(&Context, above_bottom, |ui|) { toast(Toast { meaning, title, detail, action }) -> NoticeEvent }
//!             EmptyState::new(icon, title).text(..).actions(&[..]).show() -> Option<usize>
//!             drop_overlay(&Context, icon, title, detail)           NoticeEvent {None Action(usize) Dismissed}
//! navigation  rail_item(RailItem { icon, icon_selected, label, selected, badge, dot, shortcut }) -> R
//!             RAIL_WIDTH, RAIL_WIDTH_NARROW
//! tables      Table::new(id, &[Column]).sort(&mut Option<Sort>).clickable(selected).row_height(..).max_height(..)
//!                 .show(n_rows, |idx, row|) -> TableResponse { clicked, double_clicked, sort_changed }
//!             Column::text(title) number(title, pt) fixed(title, pt)  .min_width .share .sortable
//!             row.text strong weak (&str)  coloured(&str, Color32)  class(name, Color32)  bar(text, fraction, Color32)
//!                 cell(|ui|)  skip()
//! dialogs     Dialog::new(id, title).width(pt).show(&Context, |ui|) -> DialogResponse { inner, close }
//!             dialog_buttons(|ui|)    confirm(&Context, id, Question { title, text, confirm, danger }) -> Option<bool>
//! tooltips    tip(&R, Tip { text, shortcut })
//! painting    paint::{line, cut_line, wrapped, icon, icon_at, galley_in, focus_ring, veil}
//! ```
//!
//! Spacing: `Card` sets 8 points between its rows, `columns` 12 between cards; rows of lists and menus stand without
//! gaps (`stack(ui, 0.0, ..)`). Spinners repaint 30 times a second; do not show one where nothing happens.

mod badge;
mod bars;
mod button;
mod chart;
mod choice;
mod dialog;
mod facts;
mod field;
mod layout;
mod nav;
mod notice;
pub mod paint;
pub mod scatter;
mod table;
mod text;
mod tip;

pub use badge::*;
pub use bars::*;
pub use button::*;
pub use chart::*;
pub use choice::*;
pub use dialog::*;
pub use facts::*;
pub use field::*;
pub use layout::*;
pub use nav::*;
pub use notice::*;
pub use table::*;
pub use text::*;
pub use tip::*;
