#pragma once
// -F of `brim mqtt sub`: how a received message is printed. Pure; the letters are those of mosquitto_sub.

#include "base/error.h"
#include "base/json.h"
#include "base/message.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace brim::cli {

/// A message and when it came.
struct Received {
    const Message& message;
    std::uint16_t packet_id = 0; ///< 0 for QoS 0
    WallTime at{};
};

/// A format that was checked. Letters behind a percent sign, with optional flags "-" (left) and "0" (zeros),
/// width and ".precision" (texts: at most so many bytes):
///   t topic, p payload, x/X payload as hex, l payload's length, q QoS, r retain (0/1), m packet id,
///   C content type, D correlation data, E expiry, F payload format, P user properties, R response topic,
///   I time as ISO 8601, U seconds since 1970, @Y a field of strftime(3), j/J all as JSON (J: the payload
///   as JSON too), % itself; \n \t \r \a \0 \e \\ as in C.
class MessageFormat {
public:
    /// Errc::invalid names the letter.
    static Result<MessageFormat> parse(std::string_view text);

    /// Errc::malformed when the payload is no JSON and the format asks for it.
    Result<std::string> print(const Received& received) const;

private:
    struct Piece {
        char letter = 0; ///< 0: `text` as it is
        char time_letter = 0;
        bool left = false;
        bool zeros = false;
        std::size_t width = 0;
        std::size_t precision = std::string::npos;
        std::string text{};
    };

    /// Of what follows a percent sign, which `rest` begins behind and is moved over.
    static Result<Piece> parse_piece(std::string_view& rest);

    std::vector<Piece> pieces_;
};

/// The message as %j (payload as text, or "payloadHex" where it is none) or %J prints it.
Result<Json> message_json(const Received& received, bool payload_is_json);

} // namespace brim::cli
