/* SPDX-License-Identifier: Apache-2.0 */
/* config.json and processor_config.json: published defaults, derived numbers, and a message that names file
 * and key for everything that is wrong. */
#include <jansson.h>

#include "lib/alloc.h"
#include "lib/config.h"
#include "tests/unit/check.h"

/* DeepSeek-VL2-small's config.json as released, shortened to two candidates. */
static const char small[] =
    "{\"candidate_resolutions\": [[384, 384], [384, 768]], \"global_view_pos\": \"head\", "
    "\"language_config\": {"
    "\"architectures\": [\"DeepseekV2ForCausalLM\"], \"bos_token_id\": 100000, \"eos_token_id\": 100001, "
    "\"first_k_dense_replace\": 1, \"hidden_size\": 2048, \"intermediate_size\": 10944, \"kv_lora_rank\": "
    "512, "
    "\"max_position_embeddings\": 4096, \"model_type\": \"deepseek_v2\", \"moe_intermediate_size\": 1408, "
    "\"n_group\": 1, "
    "\"n_routed_experts\": 64, \"n_shared_experts\": 2, \"num_attention_heads\": 16, "
    "\"num_experts_per_tok\": 6, "
    "\"num_hidden_layers\": 27, \"num_key_value_heads\": 16, \"q_lora_rank\": null, \"qk_nope_head_dim\": "
    "128, "
    "\"qk_rope_head_dim\": 64, \"rm_head\": false, \"topk_group\": 1, \"topk_method\": \"greedy\", "
    "\"v_head_dim\": 128, "
    "\"vocab_size\": 102400}, \"model_type\": \"deepseek_vl_v2\", \"projector_config\": {\"model_type\": "
    "\"mlp_projector\", "
    "\"n_embed\": 2048}, \"tile_tag\": \"2D\", \"torch_dtype\": \"bfloat16\", \"vision_config\": "
    "{\"layers\": 27, "
    "\"mlp_ratio\": 3.7362, \"model_name\": \"siglip_so400m_patch14_384\", \"model_type\": \"vision\", "
    "\"patch_size\": 14, "
    "\"width\": 1152}}";
static const char processor[] =
    "{\"candidate_resolutions\": [[384, 384], [384, 768]], \"downsample_ratio\": 2, "
    "\"patch_size\": 14, \"processor_class\": \"DeepseekVLV2Processor\"}";

/* A copy of `base` with the value at a dotted path replaced ("" removes it); several changes are separated by
 * ';'. */
static char *changed(const char *base, const char *changes)
{
    json_t *root = json_loads(base, 0, NULL);
    char *copy = strdup(changes), *rest = copy;
    for (char *one; root && (one = strsep(&rest, ";")) && *one;) {
        char *value = strchr(one, '='), *key = one;
        json_t *object = root;
        *value++ = '\0';
        for (char *dot; (dot = strchr(key, '.')); key = dot + 1) {
            *dot = '\0';
            object = json_object_get(object, key);
        }
        if (*value)
            json_object_set_new(object, key, json_loads(value, JSON_DECODE_ANY, NULL));
        else
            json_object_del(object, key);
    }
    char *text = json_dumps(root, 0);
    json_decref(root);
    free(copy);
    return text;
}

static int parse(dsvl_config *config, const char *changes, dsvl_error *err)
{
    char *text = changed(small, changes);
    int status = dsvl_config_parse(config, text, strlen(text), "M/config.json", err);
    free(text);
    return status;
}

static int parse_processor(dsvl_processor_config *config, const char *changes, dsvl_error *err)
{
    char *text = changed(processor, changes);
    int status = dsvl_processor_config_parse(config, text, strlen(text), "M/processor_config.json", err);
    free(text);
    return status;
}

static void released(void)
{
    dsvl_config c;
    dsvl_error err = {0};
    CHECK_MSG(parse(&c, "", &err) == 0, "%s", err.message);
    CHECK(c.vision.side == 27 && c.vision.mlp == 4304 && c.vision.heads == 16 && c.vision.layers == 27);
    CHECK(c.projector.type == DSVL_PROJ_DOWNSAMPLE_MLP_GELU && c.projector.input == 1152 &&
          c.projector.depth == 2);
    CHECK(c.projector.global_first && dsvl_config_tile_side(&c) == 14);
    CHECK(c.decoder.mla && c.decoder.q_lora == 0 && c.decoder.kv_lora == 512 &&
          c.decoder.rope == DSVL_ROPE_NONE);
    CHECK(c.decoder.experts == 64 && c.decoder.score == DSVL_SCORE_SOFTMAX &&
          c.decoder.method == DSVL_GATE_GREEDY);
    CHECK(c.decoder.context == 4096 && c.decoder.pad == -1 && c.decoder.bos == 100000 && !c.decoder.tied);

    /* tiny: multi-head attention, the latent's settings null or zero */
    CHECK_MSG(
        parse(&c,
              "language_config.use_mla=false;language_config.kv_lora_rank=null;language_config.qk_nope_head_"
              "dim=0;"
              "language_config.qk_rope_head_dim=0;language_config.v_head_dim=0;global_view_pos=\"tail\"",
              &err) == 0,
        "%s", err.message);
    CHECK(!c.decoder.mla && c.decoder.head_dim == 128 && c.decoder.kv_lora == 0 && !c.projector.global_first);

    /* base: sigmoid gate with a bias; and a long-context variant */
    CHECK_MSG(parse(&c,
                    "language_config.topk_method=\"noaux_tc\";language_config.scoring_func=\"sigmoid\";"
                    "language_config.norm_topk_prob=true;language_config.routed_scaling_factor=2.0;"
                    "language_config.rope_scaling={\"type\":\"yarn\",\"factor\":40,\"mscale\":0.707,\"mscale_"
                    "all_dim\":0.707}",
                    &err) == 0,
              "%s", err.message);
    CHECK(c.decoder.method == DSVL_GATE_NOAUX_TC && c.decoder.score == DSVL_SCORE_SIGMOID &&
          c.decoder.normalize_top);
    CHECK(c.decoder.rope == DSVL_ROPE_YARN && c.decoder.rope_factor == 40 && c.decoder.rope_original == 4096);
    CHECK(c.decoder.rope_beta_fast == 32 && c.decoder.rope_beta_slow == 1 &&
          c.decoder.rope_mscale_all == 0.707);
    CHECK(parse(&c, "dsvl_line_pitch_px=32", &err) == 0 && c.line_pitch_px == 32);
    CHECK(parse(&c, "dsvl_line_pitch_px=7", &err) == -1);
    CHECK(parse(&c, "dsvl_preferred_em_px=32", &err) == 0 && c.preferred_em_px == 32);
}

/* An absent key is the same as the published class's default, spelt out. */
static void defaults(void)
{
    const char *const bare =
        "{\"model_type\": \"deepseek_vl_v2\", \"tile_tag\": \"2D\", \"language_config\": {}, "
        "\"vision_config\": {\"width\": 1152}, \"projector_config\": {\"n_embed\": 4096}}";
    dsvl_config absent, spelt;
    dsvl_error err = {0};
    json_t *root = json_load_file("tests/reference/fixtures/defaults.json", 0, NULL),
           *base = json_loads(bare, 0, NULL);
    CHECK(root && base);
    const char *section;
    json_t *wanted, *own;
    json_object_foreach(base, section, own)
    {
        wanted = json_object_get(root, section);
        if (json_is_object(own)) CHECK_MSG(json_is_object(wanted), "%s", section);
        if (json_is_object(own)) json_object_update_missing(own, wanted);
    }
    char *text = json_dumps(base, 0);
    CHECK_MSG(dsvl_config_parse(&absent, bare, strlen(bare), "bare", &err) == 0, "%s", err.message);
    CHECK_MSG(dsvl_config_parse(&spelt, text, strlen(text), "spelt", &err) == 0, "%s", err.message);
    CHECK(memcmp(&absent, &spelt, sizeof absent) == 0);
    CHECK(absent.decoder.q_lora == 1536 && absent.decoder.layers == 30 && absent.decoder.experts == 0);
    free(text);
    json_decref(base);
    json_decref(root);
}

static const struct {
    const char *changes, *message; /* part of it */
} refused[] = {
    {"model_type=\"llava\"", "M/config.json: model_type is \"llava\", not a type that can be run"},
    {"model_type=", "model_type is absent"},
    {"tile_tag=\"1D\"", "tile_tag \"1D\" cannot be run"},
    {"tile_tag=", "tile_tag is absent, not \"2D\""},
    {"global_view_pos=\"middle\"", "global_view_pos is \"middle\", not \"head\" or \"tail\""},
    {"vision_config=", "vision_config is absent, not an object"},
    {"vision_config.model_type=\"clip\"", "vision_config.model_type is \"clip\""},
    {"vision_config.width=0", "vision_config.width is 0, not a whole number from 1 to 65536"},
    {"vision_config.width=-8", "vision_config.width is -8"},
    {"vision_config.width=11.5", "vision_config.width is 11.5, not a whole number"},
    {"vision_config.width=\"wide\"", "vision_config.width is \"wide\""},
    {"vision_config.width=null", "vision_config.width is null"},
    {"vision_config.width=true", "vision_config.width is true"},
    {"vision_config.width=4000000000", "vision_config.width is 4000000000"},
    {"vision_config.width=1024", "projector_config.input_dim is 1152, but vision_config.width is 1024"},
    {"vision_config.heads=7", "width 1152 does not go with heads"},
    {"vision_config.mlp_ratio=0", "vision_config.mlp_ratio is 0"},
    {"vision_config.patch_size=400", "image_size 384 and patch_size 400 give 0 patches"},
    {"vision_config.image_size=392", "starts with [384, 384], but vision_config.image_size is 392"},
    {"vision_config.class_token=true", "vision_config.class_token is true, not false"},
    {"vision_config.ignore_head=false", "vision_config.ignore_head is false, not true"},
    {"vision_config.global_pool=\"avg\"", "vision_config.global_pool is \"avg\""},
    {"candidate_resolutions=[]", "candidate_resolutions is not a list of 1 to 256 sizes"},
    {"candidate_resolutions=[[384]]", "candidate_resolutions is [384], not"},
    {"projector_config.n_embed=1024",
     "projector_config.n_embed is 1024, but language_config.hidden_size is 2048"},
    {"projector_config.projector_type=\"low_high\"",
     "projector_type is \"low_high\", not \"identity\" or \"linear\""},
    {"projector_config.projector_type=\"identity\"", "cannot turn input_dim 1152 into n_embed 2048"},
    {"projector_config.depth=0", "projector_config.depth is 0"},
    {"projector_config.downsample_ratio=0", "projector_config.downsample_ratio is 0"},
    {"projector_config.token_pooling=true", "token_pooling does not go with projector_type"},
    {"language_config=[]", "language_config is [], not an object"},
    {"language_config.model_type=\"llama\"", "language_config.model_type is \"llama\", not \"deepseek_v2\""},
    {"language_config.hidden_size=2", "n_embed is 2048, but language_config.hidden_size is 2"},
    {"language_config.kv_lora_rank=null", "use_mla needs kv_lora_rank"},
    {"language_config.qk_rope_head_dim=63", "an even qk_rope_head_dim"},
    {"language_config.use_mla=false;language_config.num_attention_heads=24",
     "not num_attention_heads 24 times an even"},
    {"language_config.use_mla=false;language_config.num_key_value_heads=5",
     "not a multiple of num_key_value_heads 5"},
    {"language_config.use_mla=false;language_config.rope_scaling={\"type\":\"yarn\",\"factor\":2}",
     "that this model was published with has no yarn"},
    {"language_config.topk_method=", "language_config.topk_method is absent, not \"greedy\" or"},
    {"language_config.topk_method=\"gready\"", "topk_method is \"gready\""},
    {"language_config.scoring_func=\"tanh\"", "scoring_func is \"tanh\", not \"softmax\" or \"sigmoid\""},
    {"language_config.num_experts_per_tok=65", "num_experts_per_tok is 65 of n_routed_experts 64"},
    {"language_config.num_experts_per_tok=null", "num_experts_per_tok is 0 of n_routed_experts 64"},
    {"language_config.topk_method=\"noaux_tc\";language_config.n_group=3",
     "n_group 3 and topk_group 1 do not divide"},
    {"language_config.topk_method=\"noaux_tc\";language_config.n_group=64",
     "n_group 64 and topk_group 1 do not divide"},
    {"language_config.topk_method=\"group_limited_greedy\";language_config.topk_group=2",
     "n_group 1 and topk_group 2"},
    {"language_config.rope_scaling={\"type\":\"su\",\"factor\":2}", "rope_scaling.type is \"su\""},
    {"language_config.rope_scaling={\"type\":\"linear\"}", "rope_scaling.factor is absent"},
    {"language_config.rope_scaling=7", "language_config.rope_scaling is 7, not an object or null"},
    {"language_config.hidden_act=\"gelu\"", "hidden_act is \"gelu\", not \"silu\""},
    {"language_config.rope_theta=0", "rope_theta is 0"},
    {"language_config.vocab_size=100000000", "vocab_size is 100000000"},
};

static void refusals(void)
{
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        dsvl_config c;
        dsvl_error err = {0};
        CHECK_MSG(parse(&c, refused[i].changes, &err) == -1, "%s", refused[i].changes);
        CHECK(err.code == DSVL_E_MODEL);
        CHECK_MSG(strstr(err.message, refused[i].message) && strncmp(err.message, "M/config.json: ", 15) == 0,
                  "%s: got \"%s\", want \"%s\"", refused[i].changes, err.message, refused[i].message);
    }
    for (size_t n = 0; n < sizeof small - 1; n += n < 64 ? 1 : 13) { /* every cut is an error, none a crash */
        dsvl_config c;
        dsvl_error err = {0};
        CHECK(dsvl_config_parse(&c, small, n, "M/config.json", &err) == -1 &&
              strstr(err.message, "not valid JSON"));
    }
    static const char *const odd[] = {"7", "[]", "{\"model_type\": 1e999}",
                                      "{\"model_type\": 99999999999999999999}", "\xff\xfe"};
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        dsvl_config c;
        dsvl_error err = {0};
        CHECK(dsvl_config_parse(&c, odd[i], strlen(odd[i]), "M/config.json", &err) == -1 &&
              err.code == DSVL_E_MODEL);
    }
}

static const struct {
    const char *changes, *message;
} processor_refused[] = {
    {"candidate_resolutions=", "candidate_resolutions is not a list"},
    {"candidate_resolutions=[[384,384],[384,500]]", "[384, 500] is not a grid of at most 4096 tiles of 384"},
    {"candidate_resolutions=[[384,384],[0,384]]", "candidate_resolutions is [0,384]"},
    {"candidate_resolutions=[[384,384],[384,384,384]]", "candidate_resolutions is [384,384,384]"},
    {"candidate_resolutions=[[8,8],[65536,65536]]", "is not a grid of at most 4096 tiles of 8"},
    {"candidate_resolutions=[[8200,8200]]", "tiles of 8200 pixels do not go with"},
    {"patch_size=", "patch_size is absent"},
    {"patch_size=385", "tiles of 384 pixels do not go with patch_size 385"},
    {"downsample_ratio=\"2\"", "downsample_ratio is \"2\""},
    {"image_mean=[0.5,0.5]", "image_mean is [0.5,0.5], not three numbers from 0 to 1"},
    {"image_mean=0.5", "image_mean is 0.5"},
    {"image_std=[0.5,0,0.5]", "image_std is [0.5,0,0.5]"},
    {"normalize=1", "normalize is 1, not true or false"},
    {"image_token=[]", "image_token is []"},
};

static void processors(void)
{
    dsvl_processor_config p;
    dsvl_config c;
    dsvl_error err = {0};
    CHECK_MSG(parse_processor(&p, "", &err) == 0, "%s", err.message);
    CHECK(p.tile_size == 384 && p.candidates == 2 && p.candidate[1][1] == 768 && p.normalize &&
          p.mean[2] == 0.5);
    CHECK(p.pad_color[0] == 127 && p.pad_color[2] == 127);
    CHECK_STR(p.image_token, "<image>");
    CHECK_STR(p.pad_token, "<｜▁pad▁｜>");
    CHECK_STR(p.sft_format, "deepseek");
    CHECK(parse(&c, "", &err) == 0 && dsvl_config_match(&c, &p, "M", &err) == 0);
    CHECK(parse_processor(&p, "image_mean=[0.48145466,0.4578275,0.40821073];normalize=false", &err) == 0);
    CHECK(p.pad_color[0] == 122 && p.pad_color[1] == 116 && p.pad_color[2] == 104 && !p.normalize);
    for (size_t i = 0; i < sizeof processor_refused / sizeof *processor_refused; i++) {
        memset(&err, 0, sizeof err);
        CHECK_MSG(parse_processor(&p, processor_refused[i].changes, &err) == -1, "%s",
                  processor_refused[i].changes);
        CHECK_MSG(err.code == DSVL_E_MODEL && strstr(err.message, processor_refused[i].message),
                  "%s: got \"%s\", want \"%s\"", processor_refused[i].changes, err.message,
                  processor_refused[i].message);
    }
    memset(&err, 0, sizeof err);
    CHECK(parse_processor(&p, "candidate_resolutions=[[256,256]]", &err) == 0 &&
          dsvl_config_match(&c, &p, "M", &err) == -1);
    CHECK_MSG(
        strstr(err.message,
               "candidate_resolutions is 256 pixels, but config.json: image_size of the vision tower is 384"),
        "%s", err.message);
    memset(&err, 0, sizeof err);
    CHECK(parse_processor(&p, "downsample_ratio=1", &err) == 0 && dsvl_config_match(&c, &p, "M", &err) == -1);
    CHECK_MSG(strstr(err.message, "downsample_ratio 1 make 27 tokens a side"), "%s", err.message);
}

static void folders(void)
{
    dsvl_config c;
    dsvl_error err = {0};
    CHECK(dsvl_config_read(&c, "tests/nowhere", &err) == -1);
    CHECK_STR(err.message, "tests/nowhere: no such model folder");
    memset(&err, 0, sizeof err);
    CHECK(dsvl_config_read(&c, "tests/unit", &err) == -1);
    CHECK_STR(err.message, "tests/unit/config.json: cannot open: No such file or directory");
    for (long n = 1;; n++) { /* memory runs out at every place in turn */
        memset(&err, 0, sizeof err);
        dsvl_alloc_fail_at(n);
        int status = dsvl_config_read(&c, "models/nano", &err);
        dsvl_alloc_fail_at(0);
        if (status == 0) break;
        CHECK_MSG(err.code == DSVL_E_MEMORY && n < 100, "%ld: %s", n, err.message);
    }
}

int main(void)
{
    released();
    defaults();
    refusals();
    processors();
    folders();
    return CHECK_DONE();
}
