//! The window itself: opened, remembered, measured.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use eframe::egui::{self, Context, Pos2, Ui, ViewportBuilder, pos2, vec2};

use super::shell::Shell;
use crate::app::{Command, DropInto, ImagesView};
use crate::progress::{CancelGuard, CancelToken};
use crate::store::settings::{AppSettings, UI_SCALES, WindowPlace};

/// How the window is opened.
#[derive(Clone, Debug)]
pub struct Launch {
    /// A project to open, or images, models and folders as if they were dropped.
    pub paths: Vec<PathBuf>,
    /// Scrolls through the gallery for so many seconds, prints what frames cost, and ends.
    pub profile: Option<Duration>,
    /// It is the map that is measured, and zoomed rather than scrolled.
    pub profiles_map: bool,
    /// When the program began.
    pub started: Instant,
    /// Closes the window from outside: a signal of the system or of the terminal.
    pub interrupt: CancelToken,
}

/// Why there is no window.
#[derive(Debug, thiserror::Error)]
pub enum WindowError {
    /// The system gives no window: no display, or no OpenGL.
    #[error("the window cannot be opened: {message} (the commands of `graft --help` work without one)")]
    Open {
        /// What the system said.
        message: String,
    },
}

/// Opens the window and stays until it is closed. Returns what was measured, if that was asked for.
///
/// # Errors
/// When the system gives no window.
pub fn run(launch: Launch) -> Result<Option<FrameTimes>, WindowError> {
    let (settings, problem) = match AppSettings::default_path() {
        Ok(path) => AppSettings::load(&path),
        Err(error) => (AppSettings::default(), Some(error)),
    };
    if let Some(problem) = problem {
        tracing::warn!(%problem, "settings begin anew");
    }
    let mut viewport = ViewportBuilder::default()
        .with_title("Graft")
        .with_app_id("graft")
        .with_inner_size(vec2(1280.0, 800.0))
        .with_min_inner_size(vec2(560.0, 380.0))
        .with_drag_and_drop(true)
        .with_icon(std::sync::Arc::new(icon()));
    if let Some(place) = settings.window {
        viewport = viewport.with_inner_size(vec2(place.width.max(560.0), place.height.max(380.0)));
        viewport = viewport.with_maximized(place.is_maximised);
    }
    let options = eframe::NativeOptions {
        viewport,
        persist_window: false,
        event_loop_builder: event_loop_builder(),
        ..eframe::NativeOptions::default()
    };
    let times = std::sync::Arc::new(std::sync::Mutex::new(None));
    let sink = std::sync::Arc::clone(&times);
    let result = eframe::run_native(
        "graft",
        options,
        Box::new(move |cc| {
            let (place, scale) = (settings.window, settings.ui_scale);
            if UI_SCALES.contains(&scale) {
                cc.egui_ctx.set_zoom_factor(scale);
            }
            let shell = Shell::new(&cc.egui_ctx, settings)?;
            // A window at rest draws nothing: it has to be woken to see that it is to close.
            let ctx = cc.egui_ctx.clone();
            let waking = launch.interrupt.on_cancel(move || ctx.request_repaint());
            Ok(Box::new(Window::new(shell, launch, sink, place, waking)))
        }),
    );
    result.map_err(|e| WindowError::Open { message: e.to_string() })?;
    let times = times.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
    Ok(times)
}

/// X11 where it is to be had: the Wayland side of the window library does not tell of dropped files.
#[cfg(target_os = "linux")]
fn event_loop_builder() -> Option<eframe::EventLoopBuilderHook> {
    use winit::platform::x11::EventLoopBuilderExtX11;
    let is_set = |name| std::env::var_os(name).is_some_and(|v| !v.is_empty());
    // Without Wayland it is X11 anyway.
    (is_set("WAYLAND_DISPLAY") && x11_answers()).then(|| -> eframe::EventLoopBuilderHook {
        Box::new(|builder| {
            builder.with_x11();
        })
    })
}

/// Whether there is an X server on this machine behind `DISPLAY`.
#[cfg(target_os = "linux")]
fn x11_answers() -> bool {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixStream};
    let display = std::env::var("DISPLAY").unwrap_or_default();
    let Some(number) = display.strip_prefix(':').and_then(|rest| rest.split('.').next()) else { return false };
    let path = format!("/tmp/.X11-unix/X{number}");
    let hidden = SocketAddr::from_abstract_name(path.as_bytes());
    UnixStream::connect(&path).is_ok() || hidden.is_ok_and(|address| UnixStream::connect_addr(&address).is_ok())
}

#[cfg(not(target_os = "linux"))]
fn event_loop_builder() -> Option<eframe::EventLoopBuilderHook> {
    None
}

/// The program's icon: a shoot on a stock, drawn.
fn icon() -> egui::IconData {
    const SIDE: usize = 64;
    let mut rgba = vec![0; SIDE * SIDE * 4];
    let near = |x: f32, y: f32, ax: f32, ay: f32, bx: f32, by: f32| {
        let (dx, dy) = (bx - ax, by - ay);
        let along = (((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy)).clamp(0.0, 1.0);
        ((x - ax - along * dx).powi(2) + (y - ay - along * dy).powi(2)).sqrt()
    };
    for (i, pixel) in rgba.chunks_exact_mut(4).enumerate() {
        let (x, y) = ((i % SIDE) as f32 + 0.5, (i / SIDE) as f32 + 0.5);
        let corner = ((x - 32.0).abs() - 18.0).max(0.0).hypot(((y - 32.0).abs() - 18.0).max(0.0));
        let shape = near(x, y, 32.0, 52.0, 32.0, 30.0)
            .min(near(x, y, 32.0, 34.0, 18.0, 18.0))
            .min(near(x, y, 32.0, 30.0, 45.0, 15.0));
        let (inside, on_shape) = ((14.0 - corner).clamp(0.0, 1.0), (4.0 - shape).clamp(0.0, 1.0));
        for (channel, (ground, line)) in [(0x4B_u8, 0xFF_u8), (0x55, 0xFF), (0xC8, 0xFF)].into_iter().enumerate() {
            pixel[channel] = (f32::from(ground) + (f32::from(line) - f32::from(ground)) * on_shape) as u8;
        }
        pixel[3] = (255.0 * inside) as u8;
    }
    egui::IconData { rgba, width: SIDE as u32, height: SIDE as u32 }
}

/// What frames cost.
#[derive(Clone, Debug, Default)]
pub struct FrameTimes {
    /// From the start of the program to the end of the first frame.
    pub first_frame: Duration,
    /// From asking for the project to the end of the first frame that shows it.
    pub opened: Option<Duration>,
    /// CPU time of each frame on the window's thread, in seconds: logic, drawing, tessellation and painting.
    pub frame_secs: Vec<f32>,
    /// The same while the map was being laid out.
    pub layout_frame_secs: Vec<f32>,
}

/// The share `q` (0..=1) of frames took no longer, in seconds.
pub fn quantile_secs(frame_secs: &[f32], q: f64) -> f32 {
    let mut sorted = frame_secs.to_vec();
    sorted.sort_by(f32::total_cmp);
    let at = ((sorted.len().max(1) - 1) as f64 * q).round() as usize;
    sorted.get(at).copied().unwrap_or(0.0)
}

/// CPU time that this thread has had, in seconds, where the system tells: a frame's share of the processor, whatever
/// else keeps it busy. Elsewhere frames are measured by the clock.
fn thread_cpu_secs() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let ns: u64 = stat.split_whitespace().next()?.parse().ok()?;
    Some(ns as f64 / 1e9)
}

struct Window {
    shell: Option<Shell>,
    launch: Launch,
    times: FrameTimes,
    sink: std::sync::Arc<std::sync::Mutex<Option<FrameTimes>>>,
    measured_from: Option<Instant>,
    /// CPU time of this thread at the last frame, in seconds.
    cpu_secs: Option<f64>,
    /// Where the window is, or was before it was maximised.
    place: Option<WindowPlace>,
    /// Where it was the last time, until it has been put there.
    put_at: Option<Pos2>,
    scale: f32,
    /// Wakes the window when it is interrupted.
    _waking: CancelGuard,
}

impl Window {
    fn new(
        mut shell: Shell,
        launch: Launch,
        sink: std::sync::Arc<std::sync::Mutex<Option<FrameTimes>>>,
        place: Option<WindowPlace>,
        waking: CancelGuard,
    ) -> Self {
        if !launch.paths.is_empty() {
            shell.dispatch(Command::Drop { paths: launch.paths.clone(), into: DropInto::Auto });
        }
        Self {
            shell: Some(shell),
            launch,
            times: FrameTimes::default(),
            sink,
            measured_from: None,
            cpu_secs: None,
            place,
            put_at: place.filter(|p| !p.is_maximised).map(|p| pos2(p.x, p.y)),
            scale: 1.0,
            _waking: waking,
        }
    }

    /// Puts the window where it was, if that is on the screen: another screen may have been unplugged.
    fn put_back(&mut self, ctx: &Context) {
        let Some(screen) = ctx.input(|i| i.viewport().monitor_size) else { return };
        let Some(at) = self.put_at.take() else { return };
        // What is kept is in points of the system, what egui takes in zoomed ones.
        let (at, least) = (at / ctx.zoom_factor(), vec2(120.0, 80.0));
        let is_seen = (0.0..screen.x - least.x).contains(&at.x) && (0.0..screen.y - least.y).contains(&at.y);
        if is_seen {
            ctx.send_viewport_cmd(egui::ViewportCommand::OuterPosition(at));
        }
    }

    /// Notes where the window is, in points of the system.
    fn note_place(&mut self, ctx: &Context) {
        self.scale = ctx.zoom_factor();
        let scale = self.scale;
        // One that is minimised is nowhere.
        if ctx.input(|i| i.viewport().minimized == Some(true)) {
            return;
        }
        let (outer, inner, is_maximised) = ctx.input(|i| {
            let viewport = i.viewport();
            // Not every system says where a window is.
            let inner = viewport.inner_rect.unwrap_or_else(|| i.content_rect());
            (viewport.outer_rect, inner, viewport.maximized.unwrap_or(false) || viewport.fullscreen.unwrap_or(false))
        });
        let now = WindowPlace {
            x: outer.unwrap_or(inner).min.x * scale,
            y: outer.unwrap_or(inner).min.y * scale,
            width: inner.width() * scale,
            height: inner.height() * scale,
            is_maximised,
        };
        // Of a maximised window, where it goes back to is of interest.
        self.place = Some(match self.place {
            Some(before) if is_maximised => WindowPlace { is_maximised, ..before },
            _ => now,
        });
    }

    /// Scrolls, and notes what the last frame cost.
    fn profile(&mut self, ctx: &Context, frame: &eframe::Frame, length: Duration) {
        ctx.request_repaint();
        let is_there = self.shell.as_ref().is_some_and(|s| {
            let state = s.state();
            state.project.as_ref().is_some_and(|p| !p.gallery.visible.is_empty()) || self.launch.paths.is_empty()
        });
        if !is_there {
            return;
        }
        self.times.opened.get_or_insert_with(|| self.launch.started.elapsed());
        let mut is_layout = false;
        if let (true, Some(shell)) = (self.launch.profiles_map, &mut self.shell) {
            if shell.state().images_view != ImagesView::Map {
                shell.dispatch(Command::ShowImages(ImagesView::Map));
            }
            let map = shell.state().project.as_ref().map(|p| &p.map);
            is_layout = map.is_some_and(|map| map.is_under_way());
            let waits = !is_layout && !map.is_some_and(|map| map.is_laid_out());
            if waits {
                (self.cpu_secs, self.measured_from) = (None, None);
                return;
            }
        }
        let since = *self.measured_from.get_or_insert_with(Instant::now);
        // From here to here, a frame later: everything that the thread did for a frame.
        let now = thread_cpu_secs();
        let secs = match (now, self.cpu_secs) {
            (Some(now), Some(before)) => Some((now - before) as f32),
            (Some(_), None) => None,
            (None, _) => frame.info().cpu_usage,
        };
        let times = if is_layout { &mut self.times.layout_frame_secs } else { &mut self.times.frame_secs };
        times.extend(secs);
        self.cpu_secs = now;
        if is_layout {
            // The time that was asked for begins after it.
            self.measured_from = Some(Instant::now());
        } else if since.elapsed() > length {
            ctx.send_viewport_cmd(egui::ViewportCommand::Close);
        }
    }
}

impl eframe::App for Window {
    fn raw_input_hook(&mut self, ctx: &Context, input: &mut egui::RawInput) {
        if self.measured_from.is_none() {
            return;
        }
        // A wheel that never rests, over the middle of the window, down and up again.
        let centre = ctx.content_rect().center();
        let n_frames = self.times.frame_secs.len() + self.times.layout_frame_secs.len();
        let is_down = (n_frames / 240).is_multiple_of(2);
        // On the map that is in and out again, in steps of a hand that turns the wheel.
        let delta = match self.launch.profiles_map {
            true => vec2(0.0, if (n_frames / 60).is_multiple_of(2) { 12.0 } else { -12.0 }),
            false => vec2(0.0, if is_down { -180.0 } else { 180.0 }),
        };
        input.events.push(egui::Event::PointerMoved(centre));
        input.events.push(egui::Event::MouseWheel {
            unit: egui::MouseWheelUnit::Point,
            delta,
            source: egui::MouseWheelSource::Unknown,
            phase: egui::TouchPhase::Move,
            modifiers: egui::Modifiers::NONE,
        });
    }

    fn logic(&mut self, ctx: &Context, frame: &mut eframe::Frame) {
        if let Some(length) = self.launch.profile {
            self.profile(ctx, frame, length);
        }
        if let Some(shell) = &mut self.shell {
            shell.logic(ctx);
        }
        self.put_back(ctx);
        self.note_place(ctx);
        if self.launch.interrupt.is_cancelled() {
            // Whoever ends a program from outside does not look at its questions; what could be saved is.
            ctx.send_viewport_cmd(egui::ViewportCommand::Close);
            return;
        }
        // Changes that cannot be saved are asked about first.
        let wants_close = ctx.input(|i| i.viewport().close_requested());
        if wants_close && self.shell.as_mut().is_some_and(|shell| !shell.may_close()) {
            ctx.send_viewport_cmd(egui::ViewportCommand::CancelClose);
            // The question is to be seen.
            ctx.send_viewport_cmd(egui::ViewportCommand::Minimized(false));
            ctx.send_viewport_cmd(egui::ViewportCommand::Focus);
        }
    }

    fn ui(&mut self, ui: &mut Ui, _: &mut eframe::Frame) {
        if let Some(shell) = &mut self.shell {
            shell.draw(ui);
        }
        if self.times.first_frame.is_zero() {
            self.times.first_frame = self.launch.started.elapsed();
            tracing::info!(secs = self.times.first_frame.as_secs_f64(), "first frame");
        }
    }

    fn on_exit(&mut self, _: Option<&eframe::glow::Context>) {
        if let Some(mut shell) = self.shell.take() {
            if let Some(place) = self.place {
                shell.dispatch(Command::RememberWindow { place, scale: self.scale });
            }
            shell.shut_down();
        }
        *self.sink.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(std::mem::take(&mut self.times));
    }
}
