#pragma once
// Everything the edge runs with, read and checked as one whole: settings, each driver's file, the models of
// its products, the hub's authority. A part that is wrong makes the whole wrong.

#include "base/config.h"
#include "edge/driver_config.h"
#include "edge/read_set.h"
#include "edge/settings.h"
#include "io/tls.h"

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace brim::edge {

/// What a configuration was read from, in full: reading it again needs nothing else but what env: and cred:
/// references stand for, which stays out of it.
struct ConfigTexts {
    std::vector<std::string> settings; ///< the settings files among `files`, the later wins
    std::map<std::string, std::string> environment;
    std::vector<std::string> sets;
    ReadSet::Files files;         ///< settings, driver files, models, authority; by path as given
    std::optional<Secret> secret; ///< of the gateway, when the settings refer to a file
};

/// Checked; what it names exists and fits together.
struct Configuration {
    ConfigTexts texts;
    EdgeConfig settings;
    std::vector<DriverConfig> drivers; ///< of settings.drivers, in that order
    std::string revision;              ///< of `texts`
};

/// The texts as bytes: equal texts give equal bytes. The body of the applied configuration's file.
Bytes encode_texts(const ConfigTexts& texts);
/// Errc::corrupt when the bytes are none of encode_texts().
Result<ConfigTexts> decode_texts(ByteView bytes);
/// The first 16 hexadecimal digits of SHA-256 over encode_texts().
std::string revision_of(ByteView encoded);

/// Reads all files and checks them. Blocking; any thread. Errors name file, place and fix.
Result<Configuration>
read_configuration(io::Disk& disk, const ConfigSource& source, const ReadLimits& limits = {});
/// Checks texts that were read before.
Result<Configuration> check_configuration(ConfigTexts texts);

/// What the uplink trusts, from the files among `texts` alone; null when it goes without TLS.
Result<std::unique_ptr<io::TlsContext>> uplink_trust(const UplinkSettings& uplink, const ConfigTexts& texts);

/// Where the data folder is when the files as a whole cannot be read: --set, then the environment, then what
/// the settings files still say, then the default.
std::string find_data_dir(io::Disk& disk, const ConfigSource& source);

/// The settings that differ and can only change at a start, by key; empty: `fresh` can take effect at once.
std::vector<std::string> needing_start(const EdgeConfig& running, const EdgeConfig& fresh);

/// The effective settings as TOML, then each other file; what is or looks like a secret is masked.
Result<std::string> show_masked(const ConfigTexts& texts);

} // namespace brim::edge
