//! Files that people attach to messages: what is known of one. Where its bytes are, and what it is called in URLs, is in [`crate::files`].

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::ids::Uid;

/// What a file is found by: a hash of its capability.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FileId(pub [u8; 16]);

/// What a file is, as its bytes say. What is not in this list is [`MediaType::Binary`]: HTML, SVG, XML and scripts are no media.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum MediaType {
    /// Anything: to be downloaded only.
    Binary,
    /// JPEG.
    Jpeg,
    /// PNG, moving or not.
    Png,
    /// GIF.
    Gif,
    /// WebP.
    Webp,
    /// MPEG audio.
    Mp3,
    /// AAC and the like in MP4.
    M4a,
    /// Opus or Vorbis in Ogg.
    Ogg,
    /// WAVE.
    Wav,
    /// FLAC.
    Flac,
    /// MP4.
    Mp4,
    /// WebM.
    Webm,
    /// PDF.
    Pdf,
}

impl MediaType {
    /// The media type as HTTP writes it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Binary => "application/octet-stream",
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::Gif => "image/gif",
            Self::Webp => "image/webp",
            Self::Mp3 => "audio/mpeg",
            Self::M4a => "audio/mp4",
            Self::Ogg => "audio/ogg",
            Self::Wav => "audio/wav",
            Self::Flac => "audio/flac",
            Self::Mp4 => "video/mp4",
            Self::Webm => "video/webm",
            Self::Pdf => "application/pdf",
        }
    }

    /// Whether browsers may show it where it is, instead of downloading it: what can hold no script.
    #[must_use]
    pub fn is_shown(self) -> bool {
        !matches!(self, Self::Binary | Self::Pdf)
    }
}

/// Record: a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// Who brought it.
    pub owner: Uid,
    /// What it is called, as [`crate::files::clean_name`] leaves it.
    pub name: Arc<str>,
    /// What it is.
    pub media: MediaType,
    /// Its length.
    pub bytes: u64,
    /// CRC32C of its bytes.
    pub crc: u32,
    /// Width and height of an image, as it is shown.
    pub size: Option<(u32, u32)>,
    /// When it came, Unix ms.
    pub at_ms: u64,
    /// Messages that it is attached to.
    pub uses: u32,
    /// Since when it is attached to none, Unix ms; of no meaning while it is.
    pub unused_ms: u64,
}

/// Record: what a user's files come to, or a conference's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Uploads {
    /// How many there are.
    pub files: u32,
    /// Their bytes.
    pub bytes: u64,
}
