// Sign-in, setup, users and API tokens.

#include "hub/api/handlers.h"
#include "hub/api/shapes.h"

namespace brim::hub {

std::string session_cookie(const io::HttpRequest& request, const std::string& value) {
    const bool ends = value.empty();
    return "brim_session=" + value + "; Path=/; HttpOnly; SameSite=Strict" +
           (request.encrypted ? "; Secure" : "") + (ends ? "; Max-Age=0" : "; Max-Age=604800");
}

namespace {

void answer_session(Call& call, Role role, const std::string& user, const std::string& cookie) {
    const Json session = Json::object({{"user", user}, {"role", role_name(role)}});
    io::HttpHeaders headers{{"Content-Type", "application/json"}, {"Cache-Control", "no-store"}};
    headers.add("Set-Cookie", session_cookie(call.request, cookie));
    call.responder.respond(200, headers, session.text());
}

void sign_in(Call call, Accounts& accounts, const std::string& user, const std::string& password) {
    const std::string address = call.request.peer.address;
    accounts.login(
        user,
        password,
        address,
        [&accounts, user, call = std::move(call)](Result<std::string> cookie) mutable {
            if (!cookie)
                return call.answer(cookie.error());
            const auto account = accounts.accounts().find(user);
            const Role role = account == accounts.accounts().end() ? Role::viewer : account->second.role;
            answer_session(call, role, user, *cookie);
        }
    );
}

template <class Map, class Shape, class Keep>
void answer_map(Call& call, const Map& map, Shape shape, Keep keep) {
    const auto position = read_cursor(call.text("cursor"));
    if (!position)
        return call.answer(position.error());
    const auto limit = static_cast<std::size_t>(call.integer("limit", 100));
    Json items = Json::array();
    std::string next;
    std::size_t total = 0;
    for (const auto& [key, value] : map) {
        if (!keep(value))
            continue;
        ++total;
        if (key <= *position && !position->empty())
            continue;
        if (items.items().size() < limit)
            items.push(shape(value));
        else if (next.empty())
            next = "more";
    }
    if (!next.empty()) {
        const Json& last = items.items().back();
        next = make_cursor(last.find("id") == nullptr ? last["name"].as_string() : last["id"].as_string());
    }
    call.answer(200, page_json(std::move(items), next, total));
}

void answer_account(Call& call, const Accounts& accounts, const std::string& name, int status) {
    const auto found = accounts.accounts().find(name);
    if (found == accounts.accounts().end())
        return call.answer({Errc::not_found, "user \"" + name + "\"", "it was deleted meanwhile", ""});
    call.answer(status, account_json(found->second));
}

void add_user_handlers(Handlers& handlers, Accounts& accounts) {
    handlers["listUsers"] = [&accounts](Call call) {
        answer_map(call, accounts.accounts(), account_json, [](const Account&) { return true; });
    };
    handlers["createUser"] = [&accounts](Call call) {
        const std::string name(call.body["name"].as_string());
        const Role role = parse_role(call.body["role"].as_string()).value_or(Role::viewer);
        std::string password(call.body["password"].as_string());
        auto done = [&accounts, name, call = std::move(call)](const Result<void>& made) mutable {
            if (!made)
                return call.answer(made.error());
            answer_account(call, accounts, name, 201);
        };
        accounts.create_account(name, role, std::move(password), std::move(done));
    };
    handlers["patchUser"] = [&accounts](Call call) {
        const std::string name(call.at("user"));
        const std::optional<Role> role = parse_role(call.body["role"].as_string());
        std::optional<std::string> password;
        if (const Json* given = call.body.find("password"))
            password = std::string(given->as_string());
        auto done = [&accounts, name, call = std::move(call)](const Result<void>& changed) mutable {
            if (!changed)
                return call.answer(changed.error());
            answer_account(call, accounts, name, 200);
        };
        accounts.change_account(name, role, std::move(password), std::move(done));
    };
    handlers["deleteUser"] = [&accounts](Call call) {
        const std::string name(call.at("user"));
        accounts.delete_account(name, [call = std::move(call)](const Result<void>& deleted) mutable {
            if (!deleted)
                return call.answer(deleted.error());
            call.answer_empty();
        });
    };
}

void add_token_handlers(Handlers& handlers, Accounts& accounts) {
    handlers["listTokens"] = [&accounts](Call call) {
        const Caller caller = call.caller;
        answer_map(call, accounts.tokens(), token_json, [&caller](const ApiToken& token) {
            return caller.role == Role::admin || token.account == caller.account;
        });
    };
    handlers["createToken"] = [&accounts](Call call) {
        const std::string name(call.body["name"].as_string());
        const Role role = parse_role(call.body["role"].as_string()).value_or(Role::viewer);
        const std::int64_t days = call.body["expiresInDays"].as_int();
        const Caller caller = call.caller;
        auto done = [call =
                         std::move(call)](const Result<std::pair<std::string, std::string>>& made) mutable {
            if (!made)
                return call.answer(made.error());
            call.answer(201, Json::object({{"id", made->first}, {"token", made->second}}));
        };
        accounts.create_token(caller, name, role, days, std::move(done));
    };
    handlers["deleteToken"] = [&accounts](Call call) {
        const std::string id(call.at("id"));
        const auto found = accounts.tokens().find(id);
        const bool own = found != accounts.tokens().end() && found->second.account == call.caller.account;
        if (!own && call.caller.role != Role::admin) {
            // A foreign token looks like one that is not there.
            return call.answer({Errc::not_found, "token " + id, "no such token", "see the list of tokens"});
        }
        accounts.delete_token(id, [call = std::move(call)](const Result<void>& deleted) mutable {
            if (!deleted)
                return call.answer(deleted.error());
            call.answer_empty();
        });
    };
}

} // namespace

void add_access_handlers(Handlers& handlers, ApiContext& context) {
    Accounts& accounts = context.accounts;
    handlers["setupState"] = [&accounts](Call call) {
        call.answer(200, Json::object({{"needed", accounts.setup_needed()}}));
    };
    handlers["setup"] = [&accounts](Call call) {
        const std::string token(call.body["token"].as_string());
        const std::string user(call.body["user"].as_string());
        const std::string password(call.body["password"].as_string());
        auto done = [&accounts, user, password, call = std::move(call)](const Result<void>& made) mutable {
            if (!made)
                return call.answer(made.error());
            sign_in(std::move(call), accounts, user, password);
        };
        accounts.setup(token, user, password, std::move(done));
    };
    handlers["login"] = [&accounts](Call call) {
        const std::string user(call.body["user"].as_string());
        const std::string password(call.body["password"].as_string());
        sign_in(std::move(call), accounts, user, password);
    };
    handlers["whoami"] = [](Call call) {
        call.answer(
            200, Json::object({{"user", call.caller.account}, {"role", role_name(call.caller.role)}})
        );
    };
    handlers["logout"] = [&accounts](Call call) {
        std::string cookie;
        const std::string_view header = call.request.headers.value("Cookie");
        constexpr std::string_view name = "brim_session=";
        if (const std::size_t at = header.find(name); at != std::string_view::npos) {
            cookie = header.substr(at + name.size(), header.find(';', at) - at - name.size());
        }
        accounts.logout(cookie, [call = std::move(call)](const Result<void>& ended) mutable {
            if (!ended)
                return call.answer(ended.error());
            call.responder.respond(204, {{"Set-Cookie", session_cookie(call.request, {})}}, {});
        });
    };
    add_user_handlers(handlers, accounts);
    add_token_handlers(handlers, accounts);
}

} // namespace brim::hub
