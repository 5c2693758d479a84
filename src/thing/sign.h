#pragma once
// Device signatures (hub-protocol 2.1): the client id's extended parameters, and HMAC over sorted parameters.

#include "base/error.h"
#include "base/hash.h"
#include "base/log.h"
#include "thing/envelope.h"

#include <map>
#include <string>
#include <string_view>

namespace brim::thing {

/// "{clientId}|k=v,k=v|" taken apart. Blanks and newlines around keys and values are trimmed, a trailing
/// comma is tolerated, unknown keys are kept.
struct SignedClientId {
    std::string client_id;
    std::map<std::string, std::string> extended;
    int securemode = 0;          ///< 0 when absent
    Digest method = Digest::md5; ///< hmacmd5 when absent
    std::string timestamp;       ///< empty when absent: then it does not take part in the signature
};

/// Errc::malformed without the bars, with an unknown signmethod, a repeated key, over 1,024 bytes or 32 keys.
Result<SignedClientId> parse_client_id(std::string_view text);
/// "{dn}&{pk}"
Result<DeviceKey> parse_username(std::string_view text);
/// hmacmd5, hmacsha1, hmacsha256, also "Sha256", in any letter case.
Result<Digest> parse_sign_method(std::string_view text);

/// Lower-case hex HMAC over "clientId"+id+"deviceName"+dn+"productKey"+pk(+"timestamp"+ts).
std::string sign(
    Digest method,
    const Secret& device_secret,
    std::string_view client_id,
    const DeviceKey& device,
    std::string_view timestamp
);
/// The same over any parameters, in the order of their names: dynamic registration, CoAP, sub-devices with
/// extras.
std::string sign_parameters(
    Digest method, const Secret& secret, const std::map<std::string, std::string, std::less<>>& parameters
);
/// Either hex case, constant time.
bool verify(std::string_view presented, std::string_view expected_hex) noexcept;

/// CONNECT fields of a device, for our own clients.
struct DeviceLogin {
    std::string client_id, username;
    Secret password;
};

DeviceLogin make_login(
    const DeviceKey& device, const Secret& device_secret, bool tls, std::string_view client_id, WallTime time
);

} // namespace brim::thing
