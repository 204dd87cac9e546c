//! What a drop will do, over the whole window, while something hovers.

use eframe::egui::{Align2, Area, Context, CornerRadius, Id, Order, Rect, Role, Stroke, StrokeKind, WidgetInfo, vec2};

use crate::app::drops;
use crate::ui::cx::Cx;
use crate::ui::icons;
use crate::ui::theme::{DARK, LIGHT, Weight, font, radius, size};

pub(super) fn drop_overlay(cx: &Cx<'_>, ctx: &Context) {
    let Some((paths, peek)) = &cx.state.hover else { return };
    let intent = drops::intent(cx.state, paths.len(), peek.as_ref());
    let t = if ctx.global_style().visuals.dark_mode { &DARK } else { &LIGHT };
    let whole = ctx.content_rect();
    Area::new(Id::unique("drop overlay")).order(Order::Foreground).fixed_pos(whole.min).interactable(false).show(
        ctx,
        |ui| {
            let painter = ui.painter();
            painter.rect_filled(whole, 0.0, t.backdrop);
            let tone = if intent.is_welcome { t.accent } else { t.warning };
            let line = Stroke::new(2.0, tone.solid);
            painter.rect_stroke(whole.shrink(14.0), CornerRadius::same(radius::DIALOG), line, StrokeKind::Inside);
            let card = Rect::from_center_size(whole.center(), vec2(460.0_f32.min(whole.width() - 60.0), 170.0));
            painter.rect(
                card,
                CornerRadius::same(radius::DIALOG),
                t.raised,
                Stroke::new(1.0, t.border),
                StrokeKind::Inside,
            );
            let icon = if intent.is_welcome { icons::DOWNLOAD_SIMPLE } else { icons::WARNING };
            painter.text(
                card.center_top() + vec2(0.0, 44.0),
                Align2::CENTER_CENTER,
                icon,
                icons::font(36.0),
                tone.text,
            );
            painter.text(
                card.center() + vec2(0.0, 12.0),
                Align2::CENTER_CENTER,
                &intent.title,
                font(size::HEADING, Weight::SemiBold),
                t.text_strong,
            );
            let detail = painter.layout(
                intent.detail.clone(),
                font(size::BODY, Weight::Regular),
                t.text_weak,
                card.width() - 40.0,
            );
            painter.galley(card.center() + vec2(-detail.size().x / 2.0, 34.0), detail, t.text_weak);
            let response = ui.interact(card, Id::unique("drop intent"), eframe::egui::Sense::hover());
            response
                .widget_info(|| WidgetInfo::labeled(Role::Label, true, format!("{}. {}", intent.title, intent.detail)));
        },
    );
}
