#include "io/http_client.h"

#include "base/assert.h"
#include "io/internal/address.h"

#include <algorithm>
#include <cstring>
#include <curl/curl.h>
#include <map>
#include <mutex>
#include <set>
#include <sys/epoll.h>
#include <sys/socket.h>

namespace brim::io {

namespace {

constexpr long redirects_max = 5;

void init_curl() {
    static std::once_flag once;
    std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
}

std::string lower(std::string_view text) {
    std::string out(text);
    for (char& c : out)
        if (c >= 'A' && c <= 'Z')
            c = static_cast<char>(c - 'A' + 'a');
    return out;
}

std::string_view trimmed(std::string_view text) {
    const std::size_t first = text.find_first_not_of(" \t\r\n");
    if (first == std::string_view::npos)
        return {};
    return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

} // namespace

std::string_view HttpAnswer::header(std::string_view name) const noexcept {
    for (const auto& [key, value] : headers)
        if (key == name)
            return value;
    return {};
}

namespace {

class CurlExchange;

} // namespace

/// libcurl's callbacks only note what happened; exchanges are told after it has returned, because they may
/// then start and cancel others.
struct HttpClient::State {
    struct Socket final : Watcher {
        Socket(State& owner, curl_socket_t number) : state(owner), fd(number) {}

        ~Socket() override {
            if (watch != 0)
                state.loop.unwatch(watch);
        }

        void on_ready(std::uint32_t events) override {
            int mask = 0;
            if ((events & EPOLLIN) != 0)
                mask |= CURL_CSELECT_IN;
            if ((events & EPOLLOUT) != 0)
                mask |= CURL_CSELECT_OUT;
            if ((events & (EPOLLERR | EPOLLHUP)) != 0)
                mask |= CURL_CSELECT_ERR | CURL_CSELECT_IN;
            state.act(fd, mask); // may end this object
        }

        State& state;
        curl_socket_t fd;
        WatchId watch = 0;
    };

    explicit State(EpollLoop& on);
    ~State();
    static int on_socket(CURL* easy, curl_socket_t fd, int what, void* user, void* socket);
    static int on_timer(CURLM* multi, long wait_ms, void* user);
    void act(curl_socket_t fd, int mask);
    void tell();

    EpollLoop& loop;
    CURLM* multi;
    Timer timer;
    std::map<curl_socket_t, std::unique_ptr<Socket>> sockets;
    std::set<CurlExchange*> with_news;
};

namespace {

class CurlExchange final : public HttpExchange {
public:
    CurlExchange(CURLM* multi, std::set<CurlExchange*>& with_news, HttpFetch request, HttpDone done)
        : multi_(multi), with_news_(with_news), request_(std::move(request)), done_(std::move(done)),
          easy_(curl_easy_init()) {
        BRIM_ASSERT(easy_ != nullptr, "libcurl has memory for a request");
    }

    ~CurlExchange() override {
        if (gone_ != nullptr)
            *gone_ = true;
        with_news_.erase(this);
        curl_multi_remove_handle(multi_, easy_);
        curl_easy_cleanup(easy_);
        curl_slist_free_all(headers_);
    }

    Result<void> begin() {
        for (const auto& [name, value] : request_.headers) {
            const std::string line = name + ": " + value;
            if (name.empty() || line.find_first_of(std::string_view("\r\n\0", 3)) != std::string::npos)
                return fail(Errc::invalid, "header \"" + name + "\"", "it holds a line break or no name", "");
            headers_ = curl_slist_append(headers_, line.c_str());
        }
        headers_ = curl_slist_append(headers_, "Expect:"); // no round trip before a body
        set_options();
        if (curl_multi_add_handle(multi_, easy_) == CURLM_OK)
            return {};
        return fail(Errc::io, request_.url, "the HTTP library did not take the request", "");
    }

    void ended(CURLcode code) {
        result_ = code;
        has_result_ = true;
        with_news_.insert(this);
    }

    /// Hands over what has come. The exchange may be gone afterwards.
    void tell() {
        if (!chunks_.empty()) {
            const Bytes chunks = std::exchange(chunks_, Bytes());
            bool gone = false;
            gone_ = &gone;
            request_.on_chunk(chunks);
            if (gone)
                return;
            gone_ = nullptr;
        }
        if (!has_result_)
            return;
        has_result_ = false;
        HttpDone done = std::move(done_);
        if (result_ != CURLE_OK) {
            done(fail(error()));
            return;
        }
        response_.status = static_cast<int>(status());
        done(std::move(response_));
    }

    void refuse_later(Loop& loop, Error why) {
        refusal_ = std::make_unique<Timer>(loop);
        refusal_->start(Duration::zero(), [this, error = std::move(why)]() mutable {
            HttpDone done = std::move(done_);
            done(fail(std::move(error)));
        });
    }

private:
    template <class Value> void set(CURLoption option, Value value) {
        curl_easy_setopt(easy_, option, value);
    }

    static long milliseconds(Duration time) {
        return static_cast<long>(std::chrono::duration_cast<std::chrono::milliseconds>(time).count());
    }

    void set_options() {
        set(CURLOPT_URL, request_.url.c_str());
        set(CURLOPT_PROTOCOLS_STR, "http,https");
        set(CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
        set(CURLOPT_FOLLOWLOCATION, request_.follow_redirects ? 1L : 0L);
        set(CURLOPT_MAXREDIRS, redirects_max);
        set(CURLOPT_NOSIGNAL, 1L);
        set(CURLOPT_PROXY, request_.proxy.c_str());
        set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
        set(CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
        set(CURLOPT_USERAGENT, "brim");
        set(CURLOPT_HTTPHEADER, headers_);
        set(CURLOPT_TIMEOUT_MS, milliseconds(request_.timeout));
        set(CURLOPT_CONNECTTIMEOUT_MS, milliseconds(request_.connect_timeout));
        set(CURLOPT_ERRORBUFFER, error_text_);
        set(CURLOPT_PRIVATE, static_cast<void*>(this));
        set(CURLOPT_WRITEFUNCTION, &CurlExchange::on_body);
        set(CURLOPT_WRITEDATA, static_cast<void*>(this));
        set(CURLOPT_HEADERFUNCTION, &CurlExchange::on_header);
        set(CURLOPT_HEADERDATA, static_cast<void*>(this));
        set(CURLOPT_OPENSOCKETFUNCTION, &CurlExchange::on_open);
        set(CURLOPT_OPENSOCKETDATA, static_cast<void*>(this));
        if (!request_.ca_file.empty()) {
            set(CURLOPT_CAINFO, request_.ca_file.c_str());
            set(CURLOPT_CAPATH, static_cast<const char*>(nullptr)); // pinned: the system's do not count
        }
        if (!request_.body.empty() || request_.method == "POST" || request_.method == "PUT" ||
            request_.method == "PATCH") {
            set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request_.body.size()));
            set(CURLOPT_POSTFIELDS, request_.body.data());
        }
        if (request_.method == "HEAD")
            set(CURLOPT_NOBODY, 1L);
        set(CURLOPT_CUSTOMREQUEST, request_.method.c_str());
    }

    long status() const {
        long status = 0;
        curl_easy_getinfo(easy_, CURLINFO_RESPONSE_CODE, &status);
        return status;
    }

    static std::size_t on_body(char* bytes, std::size_t size, std::size_t count, void* user) {
        auto& self = *static_cast<CurlExchange*>(user);
        const std::size_t total = size * count;
        const long status = self.status();
        if (self.request_.on_chunk && status >= 200 && status < 300) {
            self.chunks_.append(bytes, total);
            self.with_news_.insert(&self);
            return total;
        }
        if (self.response_.body.size() + total > self.request_.response_bytes_max) {
            self.too_large_ = true;
            return 0;
        }
        self.response_.body.append(bytes, total);
        return total;
    }

    static std::size_t on_header(char* bytes, std::size_t size, std::size_t count, void* user) {
        auto& self = *static_cast<CurlExchange*>(user);
        const ByteView line(bytes, size * count);
        self.header_bytes_ += line.size();
        if (self.header_bytes_ > HttpClient::header_bytes_max) {
            self.too_large_ = true;
            return 0;
        }
        if (line.starts_with("HTTP/")) { // a further response, after a redirect or 100
            self.response_.headers.clear();
            self.response_.body.clear();
        } else if (const std::size_t colon = line.find(':'); colon != ByteView::npos) {
            self.response_.headers.emplace_back(
                lower(line.substr(0, colon)), trimmed(line.substr(colon + 1))
            );
        }
        return line.size();
    }

    static curl_socket_t on_open(void* user, curlsocktype, curl_sockaddr* to) {
        auto& self = *static_cast<CurlExchange*>(user);
        SocketAddress address;
        if (to->addrlen > sizeof address.storage)
            return CURL_SOCKET_BAD;
        std::memcpy(&address.storage, &to->addr, to->addrlen);
        address.size = to->addrlen;
        if (self.request_.allow_address && !self.request_.allow_address(address.host())) {
            self.forbidden_ = address.host();
            return CURL_SOCKET_BAD;
        }
        return ::socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
    }

    Error error() const {
        const std::string object = "request " + request_.method + " " + request_.url;
        const std::string detail = error_text_[0] != '\0' ? error_text_ : curl_easy_strerror(result_);
        if (too_large_)
            return {
                Errc::too_large,
                object,
                "the response is larger than " + std::to_string(request_.response_bytes_max) + " bytes",
                ""
            };
        if (!forbidden_.empty())
            return {
                Errc::denied,
                object,
                "connections to " + forbidden_ + " are not allowed",
                "allow that address if it is meant"
            };
        switch (result_) {
        case CURLE_COULDNT_RESOLVE_HOST:
            return {Errc::unavailable, object, detail, "check the host name and this machine's DNS settings"};
        case CURLE_COULDNT_CONNECT:
            return {Errc::unavailable, object, detail, "check the address and that the server runs"};
        case CURLE_OPERATION_TIMEDOUT:
            return {Errc::timeout, object, detail, "check the network and the server's load"};
        case CURLE_PEER_FAILED_VERIFICATION:
            return {
                Errc::denied,
                object,
                "the server's certificate was refused: " + detail,
                "set the CA file to the server's authority, and check the host name and this machine's clock"
            };
        case CURLE_SSL_CACERT_BADFILE:
            return {
                Errc::invalid,
                object,
                "the CA file cannot be used: " + request_.ca_file,
                "check the path and that it is PEM"
            };
        case CURLE_UNSUPPORTED_PROTOCOL:
        case CURLE_URL_MALFORMAT:
            return {Errc::invalid, object, detail, "use an http:// or https:// address"};
        case CURLE_TOO_MANY_REDIRECTS:
            return {Errc::invalid, object, "more than 5 redirects", ""};
        case CURLE_GOT_NOTHING:
        case CURLE_RECV_ERROR:
        case CURLE_SEND_ERROR:
        case CURLE_PARTIAL_FILE:
            return {Errc::closed, object, detail, "try again"};
        default:
            return {Errc::unavailable, object, detail, ""};
        }
    }

    CURLM* multi_;
    std::set<CurlExchange*>& with_news_;
    HttpFetch request_;
    HttpDone done_;
    CURL* easy_;
    curl_slist* headers_ = nullptr;
    HttpAnswer response_;
    Bytes chunks_;
    std::size_t header_bytes_ = 0;
    std::string forbidden_;
    std::unique_ptr<Timer> refusal_;
    CURLcode result_ = CURLE_OK;
    bool has_result_ = false;
    bool too_large_ = false;
    bool* gone_ = nullptr;
    char error_text_[CURL_ERROR_SIZE] = {};
};

} // namespace

HttpClient::State::State(EpollLoop& on) : loop(on), multi(nullptr), timer(on) {
    init_curl();
    multi = curl_multi_init();
    BRIM_ASSERT(multi != nullptr, "libcurl is usable");
    curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, &State::on_socket);
    curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, this);
    curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, &State::on_timer);
    curl_multi_setopt(multi, CURLMOPT_TIMERDATA, this);
}

HttpClient::State::~State() {
    curl_multi_cleanup(multi);
}

int HttpClient::State::on_socket(CURL*, curl_socket_t fd, int what, void* user, void*) {
    auto& state = *static_cast<State*>(user);
    if (what == CURL_POLL_REMOVE) {
        state.sockets.erase(fd);
        return 0;
    }
    const std::uint32_t events = ((what & CURL_POLL_IN) != 0 ? std::uint32_t{EPOLLIN} : 0U) |
                                 ((what & CURL_POLL_OUT) != 0 ? std::uint32_t{EPOLLOUT} : 0U);
    auto& socket = state.sockets[fd];
    if (!socket)
        socket = std::make_unique<Socket>(state, fd);
    if (socket->watch != 0) {
        state.loop.rewatch(socket->watch, events);
    } else if (auto watch = state.loop.watch(fd, events, *socket)) {
        socket->watch = *watch;
    } else {
        state.sockets.erase(fd);
        return -1;
    }
    return 0;
}

int HttpClient::State::on_timer(CURLM*, long wait_ms, void* user) {
    auto& state = *static_cast<State*>(user);
    if (wait_ms < 0)
        state.timer.stop();
    else
        state.timer.start(std::chrono::milliseconds(wait_ms), [&state] {
            state.act(CURL_SOCKET_TIMEOUT, 0);
        });
    return 0;
}

void HttpClient::State::act(curl_socket_t fd, int mask) {
    int running = 0;
    curl_multi_socket_action(multi, fd, mask, &running);
    int left = 0;
    while (const CURLMsg* message = curl_multi_info_read(multi, &left)) {
        if (message->msg != CURLMSG_DONE)
            continue;
        void* exchange = nullptr;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &exchange);
        static_cast<CurlExchange*>(exchange)->ended(message->data.result);
    }
    tell();
}

void HttpClient::State::tell() {
    // A callback may not destroy the client itself, but everything else.
    while (!with_news.empty()) {
        CurlExchange* const exchange = *with_news.begin();
        with_news.erase(with_news.begin());
        exchange->tell();
    }
}

HttpClient::HttpClient(EpollLoop& loop) : state_(std::make_unique<State>(loop)) {}

HttpClient::~HttpClient() = default;

std::unique_ptr<HttpExchange> HttpClient::request(HttpFetch request, HttpDone done) {
    auto exchange =
        std::make_unique<CurlExchange>(state_->multi, state_->with_news, std::move(request), std::move(done));
    if (auto begun = exchange->begin(); !begun)
        exchange->refuse_later(state_->loop, std::move(begun).error());
    return exchange;
}

} // namespace brim::io
