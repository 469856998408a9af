//! Records made by the kernel (kTLS, `Documentation/networking/tls.rst`): the keys of a finished handshake are given to the socket, and from
//! then on what is sent, `sendfile` included, leaves as records, and what is received is deciphered.
//!
//! Only the probe and the layout of the keys were ever tried: no kernel that this was written on has the module. Hence what the caller does
//! is kept to the least: TLS 1.3 with AES-GCM, both directions at once, and whatever is received that is no application data is an error
//! (`EIO`), which ends the connection.

use std::{
    io, mem,
    os::fd::{AsRawFd, BorrowedFd},
    ptr,
};

/// `SOL_TLS`, its options, and the record type as ancillary data, of `linux/tls.h`.
const SOL_TLS: libc::c_int = 282;
const TLS_TX: libc::c_int = 1;
const TLS_RX: libc::c_int = 2;
const TLS_SET_RECORD_TYPE: libc::c_int = 1;
const TLS_1_3_VERSION: u16 = 0x0304;
const TLS_CIPHER_AES_GCM_128: u16 = 51;
const TLS_CIPHER_AES_GCM_256: u16 = 52;

/// An alert is a record of this type (RFC 8446 section 5.1); this one says warning, close_notify.
const ALERT: u8 = 21;
const CLOSE_NOTIFY: [u8; 2] = [1, 0];

/// One direction of a connection with TLS 1.3 and AES-GCM.
pub struct Keys<'a> {
    /// 16 bytes for AES-128, 32 for AES-256.
    pub key: &'a [u8],
    /// The whole nonce's base.
    pub iv: [u8; 12],
    /// Of the next record.
    pub sequence: u64,
}

/// Whether the kernel has the module, or can load it. Asked of a socket that is not connected, to which it says so.
pub fn is_there() -> bool {
    let Ok(socket) = rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::STREAM, None)
    else {
        return false;
    };
    let socket = std::os::fd::AsFd::as_fd(&socket);
    attach(socket).is_err_and(|error| error.raw_os_error() == Some(libc::ENOTCONN))
}

/// Makes the socket one that can be given keys. Until it is, nothing changes; when this fails, nothing has.
pub fn attach(socket: BorrowedFd<'_>) -> io::Result<()> {
    set(socket, libc::SOL_TCP, libc::TCP_ULP, b"tls")
}

/// Gives an attached socket the keys of both directions. After an error nothing may be sent any more.
pub fn hand_over(socket: BorrowedFd<'_>, sends: &Keys<'_>, receives: &Keys<'_>) -> io::Result<()> {
    let unknown = || io::Error::new(io::ErrorKind::InvalidInput, "a key of neither AES-128 nor AES-256");
    set(socket, SOL_TLS, TLS_TX, &layout(sends).ok_or_else(unknown)?)?;
    set(socket, SOL_TLS, TLS_RX, &layout(receives).ok_or_else(unknown)?)
}

/// `struct tls12_crypto_info_aes_gcm_128` and `_256`: version, cipher, iv, key, salt, sequence. What TLS 1.3 calls the iv is salt and iv.
fn layout(keys: &Keys<'_>) -> Option<Vec<u8>> {
    let cipher = match keys.key.len() {
        16 => TLS_CIPHER_AES_GCM_128,
        32 => TLS_CIPHER_AES_GCM_256,
        _ => return None,
    };
    let (salt, iv) = keys.iv.split_at(4);
    let head = [TLS_1_3_VERSION.to_ne_bytes(), cipher.to_ne_bytes()].concat();
    Some([&head, iv, keys.key, salt, &keys.sequence.to_be_bytes()].concat())
}

fn set(socket: BorrowedFd<'_>, level: libc::c_int, option: libc::c_int, value: &[u8]) -> io::Result<()> {
    // SAFETY: the kernel reads `value.len()` bytes of a slice that lives during the call. Neither std nor rustix has these options.
    let answer = unsafe {
        libc::setsockopt(socket.as_raw_fd(), level, option, value.as_ptr().cast(), value.len() as libc::socklen_t)
    };
    if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Says that nothing follows: one record of its own type, which only ancillary data can ask for. Non-blocking.
pub fn say_end(socket: BorrowedFd<'_>) -> io::Result<()> {
    let mut bytes = CLOSE_NOTIFY;
    let mut piece = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    // Room for one header and one byte, aligned as a header must be.
    let mut control = [0u64; 4];
    // SAFETY: all zero is a valid `msghdr`: null pointers and lengths of 0.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    message.msg_iov = ptr::from_mut(&mut piece);
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    // SAFETY: these two compute with their arguments only.
    let (space, len) = unsafe { (libc::CMSG_SPACE(1), libc::CMSG_LEN(1)) };
    debug_assert!(space as usize <= size_of_val(&control));
    message.msg_controllen = space as _;
    // SAFETY: the control buffer holds `space` bytes, so the first header and its one byte of data lie within it, and `message`, `piece`,
    // `bytes` and `control` live until the call has returned. rustix lets no other kinds of ancillary data be sent.
    let sent = unsafe {
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        (*header).cmsg_level = SOL_TLS;
        (*header).cmsg_type = TLS_SET_RECORD_TYPE;
        (*header).cmsg_len = len as _;
        *libc::CMSG_DATA(header) = ALERT;
        libc::sendmsg(socket.as_raw_fd(), &raw const message, libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT)
    };
    if sent >= 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, net::TcpStream, os::fd::AsFd};

    use super::*;

    #[test]
    fn keys_are_laid_out_as_the_kernel_wants_them() {
        let iv = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
        let laid = layout(&Keys { key: &[7; 16], iv, sequence: 258 }).unwrap();
        assert_eq!(laid.len(), 40);
        assert_eq!(laid[..4], [0x0304u16.to_ne_bytes(), 51u16.to_ne_bytes()].concat());
        assert_eq!(laid[4..12], [5, 6, 7, 8, 9, 10, 11, 12]);
        assert_eq!(laid[12..28], [7; 16]);
        assert_eq!(laid[28..], [1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 1, 2]);
        assert_eq!(layout(&Keys { key: &[7; 32], iv, sequence: 0 }).unwrap().len(), 56);
        assert!(layout(&Keys { key: &[7; 24], iv, sequence: 0 }).is_none());
    }

    #[test]
    fn the_probe_says_what_a_connected_socket_would() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert_eq!(attach(near.as_fd()).is_ok(), is_there());
    }
}
