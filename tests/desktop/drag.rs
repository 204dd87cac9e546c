//! A drag source: what a file manager does when its files are dropped on a window (XDND, version 5).

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use x11rb::connection::Connection;
use x11rb::protocol::Event;
use x11rb::protocol::xproto::{
    AtomEnum, ClientMessageEvent, ConnectionExt as _, CreateWindowAux, EventMask, PropMode, SELECTION_NOTIFY_EVENT,
    SelectionNotifyEvent, SelectionRequestEvent, Window, WindowClass,
};
use x11rb::wrapper::ConnectionExt as _;

use super::display::Display;

const PATIENCE: Duration = Duration::from_secs(10);

/// Files that hang on the pointer over a window.
pub struct Drag<'a> {
    display: &'a Display,
    source: Window,
    target: Window,
    uris: Vec<u8>,
}

impl<'a> Drag<'a> {
    /// Begins over the middle of `target`, and waits until the window says that it would take them.
    pub fn over(display: &'a Display, target: Window, paths: &[PathBuf]) -> Self {
        let connection = &display.connection;
        let aware = connection.get_property(false, target, display.atom("XdndAware"), AtomEnum::ANY, 0, 1);
        assert!(aware.unwrap().reply().unwrap().value_len > 0, "the window takes no drops");
        let source = connection.generate_id().unwrap();
        let aux = CreateWindowAux::new().event_mask(EventMask::PROPERTY_CHANGE);
        let class = WindowClass::INPUT_OUTPUT;
        connection.create_window(0, source, display.root, 0, 0, 1, 1, 0, class, 0, &aux).unwrap();
        connection.set_selection_owner(source, display.atom("XdndSelection"), x11rb::CURRENT_TIME).unwrap();
        let uris = paths.iter().flat_map(|p| format!("{}\r\n", file_uri(p)).into_bytes()).collect();
        let drag = Self { display, source, target, uris };
        drag.send("XdndEnter", [source, 5 << 24, display.atom("text/uri-list"), 0, 0]);
        let at = connection.get_geometry(target).unwrap().reply().unwrap();
        let middle = (u32::from(at.width / 2) << 16) | u32::from(at.height / 2);
        drag.send("XdndPosition", [source, 0, middle, x11rb::CURRENT_TIME, display.atom("XdndActionCopy")]);
        let status = drag.serve_until("XdndStatus");
        assert_eq!(status[1] & 1, 1, "the window would not take the drop");
        drag
    }

    /// Lets go, and waits until the window has taken them.
    pub fn drop_here(self) {
        self.send("XdndDrop", [self.source, 0, x11rb::CURRENT_TIME, 0, 0]);
        self.serve_until("XdndFinished");
    }

    fn send(&self, kind: &str, data: [u32; 5]) {
        let message = ClientMessageEvent::new(32, self.target, self.display.atom(kind), data);
        self.display.connection.send_event(false, self.target, EventMask::NO_EVENT, message).unwrap();
        self.display.connection.flush().unwrap();
    }

    /// Hands over the list when it is asked for, until a message of this kind comes back.
    fn serve_until(&self, kind: &str) -> [u32; 5] {
        let (kind, deadline) = (self.display.atom(kind), Instant::now() + PATIENCE);
        loop {
            match self.display.connection.poll_for_event().unwrap() {
                Some(Event::SelectionRequest(request)) => self.hand_over(&request),
                Some(Event::ClientMessage(message)) if message.type_ == kind => return message.data.as_data32(),
                Some(_) => {}
                None => std::thread::sleep(Duration::from_millis(5)),
            }
            assert!(Instant::now() < deadline, "the window did not answer the drag");
        }
    }

    fn hand_over(&self, request: &SelectionRequestEvent) {
        let connection = &self.display.connection;
        let (to, property) = (request.requestor, request.property);
        connection.change_property8(PropMode::REPLACE, to, property, request.target, &self.uris).unwrap();
        let told = SelectionNotifyEvent {
            response_type: SELECTION_NOTIFY_EVENT,
            sequence: 0,
            time: request.time,
            requestor: to,
            selection: request.selection,
            target: request.target,
            property,
        };
        connection.send_event(false, to, EventMask::NO_EVENT, told).unwrap();
        connection.flush().unwrap();
    }
}

/// `file://` with everything escaped that is not plain.
fn file_uri(path: &Path) -> String {
    let mut uri = "file://".to_owned();
    for byte in path.to_str().unwrap().bytes() {
        match byte {
            b'/' | b'-' | b'_' | b'.' | b'~' => uri.push(byte.into()),
            _ if byte.is_ascii_alphanumeric() => uri.push(byte.into()),
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri
}
