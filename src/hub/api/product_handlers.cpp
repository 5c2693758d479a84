// Products and their thing models.

#include "hub/api/conditional.h"
#include "hub/api/handlers.h"
#include "hub/api/shapes.h"

#include <charconv>

namespace brim::hub {

namespace {

Product* product_of(Call& call, ApiContext& context) {
    Product* product = context.parts.registry.product(call.at("productKey"));
    if (product == nullptr) {
        const std::string key(call.at("productKey"));
        call.answer({Errc::not_found, "product " + key, "no such product", "see GET /api/v1/products"});
    }
    return product;
}

/// The model in a body; answers the call when it is not valid.
std::shared_ptr<const thing::Model> model_of(Call& call, const Json& json) {
    auto model = thing::Model::parse(json);
    if (!model) {
        Error error = model.error();
        error.code = Errc::invalid;
        call.answer(error);
        return nullptr;
    }
    return std::make_shared<const thing::Model>(std::move(*model));
}

void list_products(Call& call, ApiContext& context) {
    const auto position = read_cursor(call.text("cursor"));
    if (!position)
        return call.answer(position.error());
    ProductId after = 0;
    std::from_chars(position->data(), position->data() + position->size(), after);
    const auto limit = static_cast<std::size_t>(call.integer("limit", 100));
    const std::string_view wanted = call.text("q");
    Json items = Json::array();
    std::string next;
    std::size_t total = 0;
    ProductId last = 0;
    for (const auto& [id, product] : context.parts.registry.products()) {
        if (!contains_text(product->name, wanted) && !contains_text(product->product_key, wanted))
            continue;
        ++total;
        if (id <= after)
            continue;
        if (items.items().size() == limit) {
            if (next.empty())
                next = make_cursor(std::to_string(last));
            continue;
        }
        items.push(product_json(*product));
        last = id;
    }
    call.answer(200, page_json(std::move(items), next, total));
}

} // namespace

bool may_change(Call& call, const std::string& tag, std::string_view object) {
    if (allows_change(call.request.headers, tag))
        return true;
    constexpr int precondition_failed = 412;
    call.answer(
        {Errc::conflict, std::string(object), "it was changed since it was read", "read it again, then decide"
        },
        {},
        precondition_failed
    );
    return false;
}

namespace {

void get_model(Call call, ApiContext& context) {
    const Product* product = product_of(call, context);
    if (product == nullptr)
        return;
    const Json model = product->model->to_tsl(product->product_key);
    call.etag = entity_tag(model.text());
    if (has_already(call.request.headers, call.etag))
        return call.responder.respond(304, {{"ETag", call.etag}, {"Cache-Control", "no-store"}}, {});
    call.answer(200, model);
}

void put_model(Call call, ApiContext& context) {
    Product* product = product_of(call, context);
    if (product == nullptr)
        return;
    const std::string present = entity_tag(product->model->to_tsl(product->product_key).text());
    if (!may_change(call, present, "model of product " + product->product_key))
        return;
    auto model = model_of(call, call.body);
    if (model == nullptr)
        return;
    const std::string key = product->product_key;
    auto done = [model, key, call = std::move(call)](const Result<void>& stored) mutable {
        if (!stored)
            return call.answer(stored.error());
        const Json json = model->to_tsl(key);
        call.etag = entity_tag(json.text());
        call.answer(200, json);
    };
    context.parts.registry.put_model(*product, model, std::move(done));
}

} // namespace

void add_product_handlers(Handlers& handlers, ApiContext& context) {
    Registry& registry = context.parts.registry;
    handlers["listProducts"] = [&context](Call call) { list_products(call, context); };
    handlers["createProduct"] = [&registry](Call call) {
        ProductSpec spec;
        spec.product_key = call.body["productKey"].as_string();
        spec.name = call.body["name"].as_string();
        spec.description = call.body["description"].as_string();
        spec.is_gateway = call.body["nodeType"].as_string() == "gateway";
        if (const Json* model = call.body.find("model")) {
            spec.model = model_of(call, *model);
            if (spec.model == nullptr)
                return;
        }
        registry.create_product(
            std::move(spec),
            [call = std::move(call)](const Result<Product*>& made) mutable {
                if (!made)
                    return call.answer(made.error());
                call.answer(201, product_json(**made));
            }
        );
    };
    handlers["getProduct"] = [&context](Call call) {
        if (const Product* product = product_of(call, context))
            call.answer(200, product_json(*product));
    };
    handlers["deleteProduct"] = [&context](Call call) {
        Product* product = product_of(call, context);
        if (product == nullptr)
            return;
        context.parts.registry.delete_product(
            *product,
            [call = std::move(call)](const Result<void>& deleted) mutable {
                if (!deleted)
                    return call.answer(deleted.error());
                call.answer_empty();
            }
        );
    };
    handlers["getModel"] = [&context](Call call) { get_model(std::move(call), context); };
    handlers["putModel"] = [&context](Call call) { put_model(std::move(call), context); };
}

} // namespace brim::hub
