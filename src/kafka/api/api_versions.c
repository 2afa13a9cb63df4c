/* api_versions.c: what this broker speaks. The one API that answers a version it does not know: with the
 * layout of version 0, UNSUPPORTED_VERSION and its own range (KIP-511), so that the client can ask again. */
#include "kafka/api/apis.h"
#include "kafka/broker/connection.h"
#include "kafka/coordinator/txn/txns.h"

#include <ctype.h>

static int32_t list_apis(kafka_request_t *request, kafka_api_versions_response_t *response)
{
    int32_t count = 0;
    response->api_keys = kafka_api_versions_response_api_key_array(&request->arena, KAFKA_APIS_COUNT);
    for (int32_t i = 0; i < KAFKA_APIS_COUNT; i++) {
        const kafka_api_t *api = &kafka_apis[i];
        if (!kafka_handler_find(api->key)) continue;
        response->api_keys[count++] =
            (kafka_api_versions_response_api_key_t){api->key, api->version_min, api->version_max};
    }
    return count;
}

#define FEATURES_EPOCH                1
#define SHARE_VERSION                 1
#define VERSION_WITH_RANGES_FROM_ZERO 4 /* before, a feature that may be switched off cannot be told of (KIP-1022) */

/* By which clients choose a protocol: that of transactions, and whether there are share groups. Sorted by name. */
static const struct {
    const char *name;
    int16_t level;
} features[] = {{"share.version", SHARE_VERSION}, {"transaction.version", TXNS_VERSION}};

static void list_finalized(arena_t *arena, kafka_api_versions_response_t *response)
{
    response->finalized_features_epoch = FEATURES_EPOCH;
    response->finalized_features =
        kafka_array_new(&kafka_api_versions_response_finalized_feature_shape, arena, ARRAY_LEN(features));
    response->finalized_features_count = ARRAY_LEN(features);
    for (size_t i = 0; i < ARRAY_LEN(features); i++) {
        response->finalized_features[i].name = bytes_str(features[i].name);
        response->finalized_features[i].max_version_level = features[i].level;
        response->finalized_features[i].min_version_level = features[i].level;
    }
}

static void list_features(kafka_request_t *request, kafka_api_versions_response_t *response)
{
    arena_t *arena = &request->arena;
    list_finalized(arena, response);
    if (request->header.api_version < VERSION_WITH_RANGES_FROM_ZERO) return;
    response->supported_features =
        kafka_array_new(&kafka_api_versions_response_supported_feature_shape, arena, ARRAY_LEN(features));
    response->supported_features_count = ARRAY_LEN(features);
    for (size_t i = 0; i < ARRAY_LEN(features); i++) {
        response->supported_features[i].name = bytes_str(features[i].name);
        response->supported_features[i].max_version = features[i].level;
    }
}

/* Letters, digits, dots and dashes, the latter two not at an end. */
static bool is_software_name(bytes_t text)
{
    if (text.len == 0 || !isalnum(text.ptr[0]) || !isalnum(text.ptr[text.len - 1])) return false;
    for (size_t i = 0; i < text.len; i++) {
        if (!isalnum(text.ptr[i]) && text.ptr[i] != '-' && text.ptr[i] != '.') return false;
    }
    return true;
}

static void answer_unsupported(kafka_request_t *request)
{
    kafka_api_versions_response_t *response = KAFKA_MESSAGE(request, api_versions_response);
    response->error_code = KAFKA_UNSUPPORTED_VERSION;
    response->api_keys_count = 1;
    response->api_keys = kafka_api_versions_response_api_key_array(&request->arena, 1);
    response->api_keys[0] = (kafka_api_versions_response_api_key_t){request->api->key, request->api->version_min,
                                                                    request->api->version_max};
    kafka_respond_version(request, 0, response);
}

void kafka_handle_api_versions(kafka_request_t *request)
{
    if (request->unsupported_version) {
        answer_unsupported(request);
        return;
    }
    const kafka_api_versions_request_t *body = request->body;
    kafka_api_versions_response_t *response = KAFKA_MESSAGE(request, api_versions_response);
    if (request->header.api_version >= 3 &&
        (!is_software_name(body->client_software_name) || !is_software_name(body->client_software_version)))
        response->error_code = KAFKA_INVALID_REQUEST;
    else
        response->api_keys_count = list_apis(request, response);
    if (request->header.api_version >= 3 && !response->error_code) list_features(request, response);
    kafka_respond(request, response);
}
