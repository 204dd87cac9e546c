//! egui's style from the tokens, so that its own widgets look like ours.

use eframe::egui::epaint::FontColorTransferFunction;
use eframe::egui::style::{
    HandleShape, Interaction, ScrollFadeStyle, ScrollStyle, Selection, Spacing, TextCursorStyle, WidgetVisuals, Widgets,
};
use eframe::egui::{Color32, CornerRadius, Margin, Shadow, Stroke, Style, TextStyle, Visuals, vec2};

use super::fonts::{Weight, font, mono};
use super::tokens::{Tokens, height, radius, size, space};
use super::{Theme, tokens};

/// Widths of strokes in points.
const HAIRLINE: f32 = 1.0;

/// The shadow of what floats over the place: menus, dialogs, toasts.
pub fn shadow(t: &Tokens) -> Shadow {
    Shadow { offset: [0, 6], blur: 20, spread: 0, color: t.shadow }
}

/// egui's style for a theme.
pub fn style(theme: Theme) -> Style {
    let t = tokens::of(theme);
    let mut style = Style {
        text_styles: [
            (TextStyle::Small, font(size::SMALL, Weight::Regular)),
            (TextStyle::Body, font(size::BODY, Weight::Regular)),
            (TextStyle::Button, font(size::BODY, Weight::Regular)),
            (TextStyle::Heading, font(size::HEADING, Weight::SemiBold)),
            (TextStyle::Monospace, mono(size::SMALL)),
        ]
        .into(),
        spacing: spacing(),
        interaction: Interaction {
            interact_radius: 3.0,
            tooltip_delay: 0.4,
            selectable_labels: false,
            multi_widget_text_select: false,
            ..Interaction::default()
        },
        visuals: visuals(t),
        animation_time: 0.12,
        ..Style::default()
    };
    style.url_in_tooltip = true;
    style
}

fn spacing() -> Spacing {
    Spacing {
        item_spacing: vec2(space::S, space::S),
        window_margin: Margin::same(space::L as i8),
        menu_margin: Margin::same(space::XS as i8),
        button_padding: vec2(10.0, 4.0),
        indent: space::L,
        interact_size: vec2(height::CONTROL, height::CONTROL),
        slider_width: 160.0,
        slider_rail_height: 4.0,
        combo_width: 120.0,
        icon_width: 16.0,
        icon_width_inner: 9.0,
        icon_spacing: 6.0,
        tooltip_width: 360.0,
        menu_width: 320.0,
        combo_height: 280.0,
        scroll: ScrollStyle {
            bar_width: 8.0,
            floating_width: 4.0,
            handle_min_length: 24.0,
            bar_inner_margin: 2.0,
            bar_outer_margin: 2.0,
            dormant_handle_opacity: 0.35,
            active_handle_opacity: 0.5,
            interact_handle_opacity: 0.8,
            active_background_opacity: 0.0,
            interact_background_opacity: 0.3,
            fade: ScrollFadeStyle { strength: 0.0, ..ScrollFadeStyle::default() },
            ..ScrollStyle::floating()
        },
        ..Spacing::default()
    }
}

fn visuals(t: &Tokens) -> Visuals {
    let (base, transfer) = match t.theme {
        Theme::Light => (Visuals::light(), FontColorTransferFunction::LIGHT_MODE_DEFAULT),
        Theme::Dark => (Visuals::dark(), FontColorTransferFunction::DARK_MODE_DEFAULT),
    };
    let mut visuals = Visuals {
        weak_text_color: Some(t.text_weak),
        widgets: widgets(t),
        selection: Selection { bg_fill: t.text_selection, stroke: Stroke::new(HAIRLINE, t.accent.text) },
        hyperlink_color: t.accent.text,
        faint_bg_color: t.hover,
        extreme_bg_color: t.sunken,
        text_edit_bg_color: Some(field_fill(t)),
        code_bg_color: t.sunken,
        warn_fg_color: t.warning.text,
        error_fg_color: t.negative.text,
        window_corner_radius: CornerRadius::same(radius::DIALOG),
        window_shadow: shadow(t),
        window_fill: t.raised,
        window_stroke: Stroke::new(HAIRLINE, t.border),
        window_highlight_topmost: false,
        menu_corner_radius: CornerRadius::same(radius::CARD),
        panel_fill: t.canvas,
        popup_shadow: shadow(t),
        text_cursor: TextCursorStyle { stroke: Stroke::new(1.5, t.accent.text), ..TextCursorStyle::default() },
        button_frame: true,
        collapsing_header_frame: false,
        indent_has_left_vline: false,
        striped: false,
        slider_trailing_fill: true,
        handle_shape: HandleShape::Circle,
        disabled_alpha: 0.45,
        ..base
    };
    visuals.text_options.color_transfer_function = transfer;
    visuals
}

/// Fields are wells in the dark and paper in the light.
pub fn field_fill(t: &Tokens) -> Color32 {
    match t.theme {
        Theme::Light => t.surface,
        Theme::Dark => t.sunken,
    }
}

fn widgets(t: &Tokens) -> Widgets {
    let round = CornerRadius::same(radius::CONTROL);
    let state = |fill: Color32, border: Color32, text: Color32| WidgetVisuals {
        bg_fill: fill,
        weak_bg_fill: fill,
        bg_stroke: Stroke::new(HAIRLINE, border),
        corner_radius: round,
        fg_stroke: Stroke::new(HAIRLINE, text),
        expansion: 0.0,
    };
    Widgets {
        noninteractive: state(t.surface, t.border, t.text),
        inactive: WidgetVisuals { bg_fill: t.sunken, ..state(t.control, t.border_control, t.text) },
        hovered: state(t.control_hover, t.border_control, t.text_strong),
        // Also what has the keyboard's focus: the border is the ring.
        active: WidgetVisuals {
            bg_stroke: Stroke::new(1.5, t.focus),
            ..state(t.control_active, t.focus, t.text_strong)
        },
        open: state(t.control_active, t.border_control, t.text_strong),
    }
}
