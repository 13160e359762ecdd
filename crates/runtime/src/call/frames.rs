//! Finds where messages begin in a gRPC body, however it is split.

/// Length of the prefix of a message: a flag for compression, and the message's length.
pub const PREFIX: usize = 5;

/// The current position in a sequence of messages.
#[derive(Debug, Default)]
pub struct Frames {
    prefix: [u8; PREFIX],
    /// How many bytes of the prefix are read.
    read: usize,
    /// How many bytes of the message are left.
    left: usize,
}

impl Frames {
    /// Advances over some bytes, and reports the length of each message that begins in them.
    pub fn take(&mut self, mut data: &[u8], mut begins: impl FnMut(usize)) {
        while !data.is_empty() {
            if self.left > 0 {
                let n = self.left.min(data.len());
                (self.left, data) = (self.left - n, &data[n..]);
                continue;
            }
            let n = (PREFIX - self.read).min(data.len());
            self.prefix[self.read..self.read + n].copy_from_slice(&data[..n]);
            (self.read, data) = (self.read + n, &data[n..]);
            if self.read == PREFIX {
                let [_, length @ ..] = self.prefix;
                self.left = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
                self.read = 0;
                begins(self.left);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_measured_wherever_they_are_cut() {
        let messages = [&[0, 0, 0, 0, 3][..], b"abc", &[0, 0, 0, 0, 0], &[0, 0, 0, 1, 0], &[7; 256], &[0, 0, 0, 0, 1], b"x"].concat();
        for size in 1..=messages.len() {
            let (mut frames, mut lengths) = (Frames::default(), Vec::new());
            messages.chunks(size).for_each(|chunk| frames.take(chunk, |length| lengths.push(length)));
            assert_eq!(lengths, [3, 0, 256, 1], "in pieces of {size}");
            assert_eq!((frames.read, frames.left), (0, 0));
        }
    }
}
