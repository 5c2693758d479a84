#include "port.h"

#include <modbus/modbus.h>

#include <algorithm>
#include <cerrno>

namespace brim::modbus {

namespace {

modbus_t* make_context(const ChannelSettings& settings) {
    if (const auto* tcp = std::get_if<TcpEndpoint>(&settings.endpoint)) {
        return modbus_new_tcp_pi(tcp->host.c_str(), std::to_string(tcp->port).c_str());
    }
    const auto& serial = std::get<SerialEndpoint>(settings.endpoint);
    return modbus_new_rtu(
        serial.path.c_str(), serial.baud, serial.parity, serial.data_bits, serial.stop_bits
    );
}

} // namespace

struct Port::Context {
    modbus_t* modbus = nullptr;
    bool serial = false;

    explicit Context(const ChannelSettings& settings)
        : modbus(make_context(settings)), serial(std::holds_alternative<SerialEndpoint>(settings.endpoint)) {}

    ~Context() {
        if (modbus == nullptr)
            return;
        modbus_close(modbus);
        modbus_free(modbus);
    }

    Context(const Context&) = delete;
    Context& operator=(const Context&) = delete;
};

std::string_view exception_meaning(int code) noexcept {
    constexpr std::string_view meanings[] = {
        "unknown exception",
        "illegal function: the slave does not offer this operation",
        "illegal data address: the slave has no such register",
        "illegal data value: the slave refuses the count or the value",
        "slave device failure",
        "acknowledge: the slave needs more time",
        "slave device busy",
        "negative acknowledge",
        "memory parity error",
        "unknown exception",
        "gateway path unavailable",
        "gateway target failed to respond",
    };
    return code >= 1 && code <= 11 ? meanings[code] : meanings[0];
}

Port::Port(const ChannelSettings& settings) : settings_(settings) {}

Port::~Port() = default;

void Port::close() {
    context_.reset();
}

Answer Port::open(std::int64_t now_ms) {
    constexpr std::int64_t wait_ms_min = 100;
    constexpr std::int64_t wait_ms_max = 5'000;
    if (context_ != nullptr)
        return {};
    if (now_ms < retry_at_ms_)
        return {Failure::broken, 0, "not connected; the next attempt is due soon"};
    auto context = std::make_unique<Context>(settings_);
    bool connected = false;
    if (context->modbus != nullptr) {
        modbus_set_response_timeout(
            context->modbus, settings_.timeout_ms / 1'000, settings_.timeout_ms % 1'000 * 1'000
        );
        // Without a timeout of its own for each byte the one above bounds the whole answer: a slave that
        // trickles its bytes cannot hold the others up.
        modbus_set_byte_timeout(context->modbus, 0, 0);
        connected = modbus_connect(context->modbus) == 0;
    }
    if (connected) {
        failures_ = 0;
        context_ = std::move(context);
        return {};
    }
    const std::string cause = modbus_strerror(errno);
    retry_at_ms_ = now_ms + std::min(wait_ms_max, wait_ms_min << std::min(failures_, 6U));
    ++failures_;
    return {Failure::broken, 0, "cannot connect: " + cause};
}

Answer Port::failed(const char* what) {
    const int cause = errno;
    const std::string text = std::string(what) + ": " + modbus_strerror(cause);
    const int exception = cause - MODBUS_ENOBASE;
    if (exception >= 1 && exception <= 11)
        return {Failure::exception, exception, std::string(exception_meaning(exception))};
    const bool confused = cause == ETIMEDOUT || cause >= MODBUS_ENOBASE;
    if (confused && context_->serial) {
        // A late or damaged answer must not be taken for the next one.
        modbus_flush(context_->modbus);
        return {Failure::timeout, 0, text};
    }
    // On TCP the late answer would still arrive on this connection; a new one cannot carry it.
    close();
    return {confused ? Failure::timeout : Failure::broken, 0, text};
}

Answer Port::read(int slave, const Read& read, std::vector<std::uint16_t>& data) {
    modbus_t* modbus = context_->modbus;
    modbus_set_slave(modbus, slave);
    data.assign(read.count, 0);
    int count = 0;
    if (is_bits(read.area)) {
        std::vector<std::uint8_t> bits(read.count);
        count = read.area == Area::coil
                    ? modbus_read_bits(modbus, read.address, read.count, bits.data())
                    : modbus_read_input_bits(modbus, read.address, read.count, bits.data());
        std::ranges::copy(bits, data.begin());
    } else {
        count = read.area == Area::holding
                    ? modbus_read_registers(modbus, read.address, read.count, data.data())
                    : modbus_read_input_registers(modbus, read.address, read.count, data.data());
    }
    return count == read.count ? Answer{} : failed("read");
}

Answer Port::write(int slave, const Write& write) {
    modbus_t* modbus = context_->modbus;
    modbus_set_slave(modbus, slave);
    const auto count = static_cast<int>(write.data.size());
    int done = 0;
    if (write.mask != 0xffff)
        return write_bits(slave, write);
    if (write.area == Area::coil && count == 1) {
        done = modbus_write_bit(modbus, write.address, write.data[0]);
    } else if (write.area == Area::coil) {
        const std::vector<std::uint8_t> bits(write.data.begin(), write.data.end());
        done = modbus_write_bits(modbus, write.address, count, bits.data());
    } else if (count == 1) {
        done = modbus_write_register(modbus, write.address, write.data[0]);
    } else {
        done = modbus_write_registers(modbus, write.address, count, write.data.data());
    }
    return done == count ? Answer{} : failed("write");
}

Answer Port::write_bits(int slave, const Write& write) {
    const auto keep = static_cast<std::uint16_t>(~write.mask);
    if (modbus_mask_write_register(context_->modbus, write.address, keep, write.data[0]) != -1)
        return {};
    Answer answer = failed("write bits");
    if (answer.failure != Failure::exception || answer.exception != MODBUS_EXCEPTION_ILLEGAL_FUNCTION)
        return answer;
    std::vector<std::uint16_t> held;
    answer = read(slave, {write.area, write.address, 1, {}}, held);
    if (!answer)
        return answer;
    return this->write(
        slave,
        {write.area, write.address, {static_cast<std::uint16_t>((held[0] & keep) | write.data[0])}, 0xffff}
    );
}

} // namespace brim::modbus
