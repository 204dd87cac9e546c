//! An X server of its own, and hands on it: windows, keys, the pointer, pictures of the screen.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use x11rb::connection::Connection;
use x11rb::protocol::xproto::{
    self, AtomEnum, ConnectionExt as _, ImageFormat, InputFocus, KEY_PRESS_EVENT, KEY_RELEASE_EVENT, Window,
};
use x11rb::protocol::xtest::ConnectionExt as _;
use x11rb::rust_connection::RustConnection;

/// Between pressing and releasing, and between looks at something that is waited for.
const PACE: Duration = Duration::from_millis(20);

/// A running Xvfb, which ends with it.
pub struct Display {
    server: Child,
    pub name: String,
    pub connection: RustConnection,
    pub root: Window,
    size: (u16, u16),
}

impl Display {
    /// Starts Xvfb with a screen of that many pixels.
    ///
    /// # Errors
    /// Says why there is none.
    pub fn start(width: u16, height: u16) -> Result<Self, String> {
        let mut server = Command::new("Xvfb")
            .args(["-displayfd", "1", "-nolisten", "tcp", "-noreset", "-screen", "0"])
            .arg(format!("{width}x{height}x24"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|e| format!("Xvfb cannot be started: {e}"))?;
        let mut line = String::new();
        let told = server.stdout.take().map(|out| BufReader::new(out).read_line(&mut line));
        if !matches!(told, Some(Ok(n)) if n > 0) {
            server.kill().ok();
            server.wait().ok();
            return Err("Xvfb ended at once".to_owned());
        }
        let name = format!(":{}", line.trim());
        let connected = RustConnection::connect(Some(&name)).map_err(|e| format!("no connection to Xvfb: {e}"));
        let (connection, screen) = match connected {
            Ok(connected) => connected,
            Err(why) => {
                server.kill().ok();
                server.wait().ok();
                return Err(why);
            }
        };
        let root = connection.setup().roots[screen].root;
        Ok(Self { server, name, connection, root, size: (width, height) })
    }

    pub fn atom(&self, name: &str) -> u32 {
        self.connection.intern_atom(false, name.as_bytes()).unwrap().reply().unwrap().atom
    }

    /// The window whose title ends in `title`, if it is on the screen.
    pub fn window(&self, title: &str) -> Option<Window> {
        let tree = self.connection.query_tree(self.root).unwrap().reply().unwrap();
        tree.children.into_iter().find(|&window| {
            let attributes = self.connection.get_window_attributes(window).unwrap().reply();
            attributes.is_ok_and(|a| a.map_state == xproto::MapState::VIEWABLE) && self.title(window).ends_with(title)
        })
    }

    pub fn title(&self, window: Window) -> String {
        let property = self.connection.get_property(false, window, AtomEnum::WM_NAME, AtomEnum::ANY, 0, 1024);
        let bytes = property.unwrap().reply().map(|p| p.value).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Gives a window the keyboard, as a window manager would, and the whole screen.
    pub fn take_over(&self, window: Window) {
        let (width, height) = self.size;
        let place = xproto::ConfigureWindowAux::new().x(0).y(0).width(u32::from(width)).height(u32::from(height));
        self.connection.configure_window(window, &place).unwrap();
        self.connection.set_input_focus(InputFocus::PARENT, window, x11rb::CURRENT_TIME).unwrap();
        self.connection.flush().unwrap();
    }

    /// Presses a key with Ctrl held.
    pub fn ctrl(&self, key: char) {
        let (ctrl, key) = (self.keycode(0xFFE3), self.keycode(u32::from(key)));
        self.key_event(KEY_PRESS_EVENT, ctrl);
        self.press(key);
        self.key_event(KEY_RELEASE_EVENT, ctrl);
    }

    /// Presses keys one after the other, by their keysyms (ASCII is its own).
    pub fn keys(&self, keysyms: &[u32]) {
        for keysym in keysyms {
            self.press(self.keycode(*keysym));
        }
    }

    fn press(&self, keycode: u8) {
        self.key_event(KEY_PRESS_EVENT, keycode);
        self.key_event(KEY_RELEASE_EVENT, keycode);
    }

    fn key_event(&self, kind: u8, keycode: u8) {
        self.connection.xtest_fake_input(kind, keycode, x11rb::CURRENT_TIME, self.root, 0, 0, 0).unwrap();
        self.connection.flush().unwrap();
        std::thread::sleep(PACE);
    }

    fn keycode(&self, keysym: u32) -> u8 {
        let setup = self.connection.setup();
        let (min, max) = (setup.min_keycode, setup.max_keycode);
        let map = self.connection.get_keyboard_mapping(min, max - min + 1).unwrap().reply().unwrap();
        let per_key = usize::from(map.keysyms_per_keycode);
        let at = map.keysyms.chunks(per_key).position(|keys| keys[0] == keysym);
        min + u8::try_from(at.unwrap_or_else(|| panic!("the keyboard has no key {keysym:#x}"))).unwrap()
    }

    /// Moves the pointer.
    pub fn point(&self, x: i16, y: i16) {
        let motion = xproto::MOTION_NOTIFY_EVENT;
        self.connection.xtest_fake_input(motion, 0, x11rb::CURRENT_TIME, self.root, x, y, 0).unwrap();
        self.connection.flush().unwrap();
        std::thread::sleep(PACE);
    }

    /// Presses the left button there.
    pub fn click(&self, x: i16, y: i16) {
        self.point(x, y);
        for kind in [xproto::BUTTON_PRESS_EVENT, xproto::BUTTON_RELEASE_EVENT] {
            self.connection.xtest_fake_input(kind, 1, x11rb::CURRENT_TIME, self.root, 0, 0, 0).unwrap();
            self.connection.flush().unwrap();
            std::thread::sleep(PACE);
        }
    }

    /// What the screen shows.
    pub fn screen(&self) -> image::RgbImage {
        let (width, height) = self.size;
        let request = self.connection.get_image(ImageFormat::Z_PIXMAP, self.root, 0, 0, width, height, !0);
        let reply = request.unwrap().reply().unwrap();
        let rgb = reply.data.chunks_exact(4).flat_map(|bgrx| [bgrx[2], bgrx[1], bgrx[0]]).collect();
        image::RgbImage::from_raw(width.into(), height.into(), rgb).unwrap()
    }

    /// What the screen shows once it has been the same for a while.
    pub fn settled_screen(&self, patience: Duration) -> image::RgbImage {
        let deadline = Instant::now() + patience;
        let mut last = self.screen();
        let mut since = Instant::now();
        while since.elapsed() < Duration::from_millis(400) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(50));
            let now = self.screen();
            if now != last {
                (last, since) = (now, Instant::now());
            }
        }
        last
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        self.server.kill().ok();
        self.server.wait().ok();
    }
}
