#pragma once
// The applied configuration: what the edge runs with, kept in the data folder, so that it can run on it when
// the files it was read from are gone or broken.

#include "edge/configuration.h"

#include <optional>
#include <string>

namespace brim::edge {

struct Applied {
    ConfigTexts texts;
    std::string revision;
    WallTime at;
};

/// The file's content:
///
///     brim-edge applied configuration 1 <crc32c of this line so far, 8 hexadecimal digits>
///     revision <16 hexadecimal digits>
///     applied <ms since 1970>
///     <encode_texts()>
///     end <crc32c of everything above>
///
/// The first line keeps its form in every later format, so that an older program knows a newer file from a
/// damaged one.
Bytes encode_applied(const ConfigTexts& texts, WallTime at);
/// Errc::corrupt, or Errc::unsupported for a newer format.
Result<Applied> decode_applied(ByteView bytes);

/// The file itself. Blocking; one thread at a time.
class AppliedFile {
public:
    static constexpr std::string_view name = "config.applied";
    static constexpr std::size_t bytes_max = 71'303'168; ///< ReadLimits::bytes_max and 4 MiB for the rest
    static constexpr unsigned quarantined_max = 9;       ///< damaged files kept; then the last is replaced

    AppliedFile(io::Disk& disk, const std::string& data_dir)
        : disk_(disk), path_(data_dir + "/" + std::string(name)) {}

    bool exists() const { return disk_.exists(path_); }

    /// Nothing when there is none. Changes nothing on the disk.
    Result<std::optional<Applied>> read() const;
    /// As read(), but a damaged file is renamed to `config.applied.quarantine-N` first, and the Errc::corrupt
    /// says so. The data folder must be locked.
    Result<std::optional<Applied>> load();
    /// Replaces it whole and durably, mode 0600. After an error the old one or the new one is there.
    Result<void> save(const ConfigTexts& texts, WallTime at);

private:
    io::Disk& disk_;
    std::string path_;
};

} // namespace brim::edge
