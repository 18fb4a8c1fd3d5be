/* SPDX-License-Identifier: Apache-2.0 */
/* Sampling against transformers 4.38.2: the cases hold what RepetitionPenaltyLogitsProcessor,
 * TemperatureLogitsWarper and TopPLogitsWarper leave of random logits, printed by PyTorch. */
#include <math.h>
#include <stdbool.h>

#include "lib/sampling.h"
#include "tests/unit/check.h"

enum { MOST = 40, SEEN = 5 };

static const struct sampling_case {
    int vocab;
    float penalty, temperature, top_p;
    float logits[MOST];
    int32_t seen[SEEN];
    float probability[MOST];
} cases[] = {
    /* clang-format off */
    {12, 1.0f, 1.0f, 0.9f,
     {-1.453125, -1.8125, -1.671875, 2, -0.59375, 5.828125, -4.203125, -2.28125, 1.890625, -2.703125, -1.671875, 2.078125},
     {8, 1, 7, 9, 11},
     {0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0}},
    {12, 1.1f, 0.4f, 0.9f,
     {1.015625, 1.015625, 6.046875, -3.984375, -6.34375, 0.515625, 4.140625, -4.296875, 1.390625, 5.0625, 4.390625, -0.1875},
     {5, 11, 11, 7, 2},
     {0, 0, 0.74774981, 0, 0, 0, 0, 0, 0, 0.25225019, 0, 0}},
    {40, 1.3f, 0.7f, 0.5f,
     {-2.0625, -1.109375, 1.46875, 0.9375, 2.109375, 0.015625, -1.546875, 4.6875, -0.75, -8, -1.546875, 1.859375, -1.9375, 2.734375, 0.84375, -4.5, -7.09375, 0.765625, 2.9375, 4.953125, 0.4375, -1.921875, -2.453125, -1.15625, 3.703125, -4.3125, -2.671875, -0.78125, -0.703125, 1.328125, 3.265625, -2.421875, 5.140625, -3.609375, -0.546875, 0.390625, 1.515625, -0.671875, 0.375, 0.1875},
     {8, 31, 39, 6, 35},
     {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0.43343326, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0.56656677, 0, 0, 0, 0, 0, 0, 0}},
    {9, 1.0f, 2.0f, 1.0f,
     {-1.1875, -1.828125, -4.21875, -0, 1.453125, -0.25, -1.859375, 4.828125, 1.84375},
     {4, 4, 7, 2, 3},
     {0.02889426, 0.02097498, 0.00634723, 0.05232075, 0.1081972, 0.0461729, 0.0206498, 0.58490855, 0.13153434}},
    {30, 0.8f, 1.5f, 0.99f,
     {-3.640625, -0.046875, -1.46875, 2.859375, -2.671875, 2.21875, -1.578125, -0.15625, -1.25, -5.234375, 3.4375, 0.109375, 2.640625, 0.21875, -0.828125, 0.0625, -1.375, -1.0625, -1.5, 1.09375, 0.1875, 0.234375, 0.296875, 0.03125, 0.40625, -0.625, -1.015625, -2.578125, -1.25, 1.21875},
     {1, 17, 29, 18, 18},
     {0, 0.02056907, 0.00792183, 0.14188808, 0, 0.09256908, 0.00736475, 0.01900347, 0.00916558, 0, 0.20860767, 0.02268503, 0.12263411, 0.02440094, 0.01214242, 0.02198709, 0.00843274, 0.01196663, 0.00947625, 0.04372654, 0.02389785, 0.02465645, 0.02570551, 0.02153376, 0.02764989, 0.01390324, 0.01071565, 0, 0.00916558, 0.05823075}},
    {16, 1.0f, 1.0f, 0.05f,
     {-2.078125, 1.578125, -4.484375, 0.203125, 0.625, 0.828125, 3.578125, 1.6875, -2.484375, -3.6875, 0.15625, -2.59375, -0.859375, -1.796875, 0.546875, -0.515625},
     {2, 2, 1, 11, 1},
     {0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0}},
    {8, 1.0f, 1.0f, 0.6f,
     {1, 2, 2, 2, 0, 2, -1, 1},
     {0, 7, 7, 1, 4},
     {0, 0, 0.33333334, 0.33333334, 0, 0.33333334, 0, 0}},
    {8, 1.5f, 0.5f, 0.75f,
     {1, 2, 2, 2, 0, 2, -1, 1},
     {3, 5, 1, 2, 4},
     {0, 0.25, 0.25, 0.25, 0, 0.25, 0, 0}},
    /* clang-format on */
};

static dsvl_sampler *sampler_of(float penalty, float temperature, float top_p, uint64_t seed, size_t vocab)
{
    dsvl_error err = {0};
    const dsvl_sampling sampling = {temperature, top_p, penalty, seed, 0, 0};
    dsvl_sampler *sampler = dsvl_sampler_new(&sampling, vocab, &err);
    CHECK_MSG(sampler, "%s", err.message);
    return sampler;
}

static void test_published(void)
{
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        const struct sampling_case *c = &cases[k];
        int32_t ids[MOST];
        float p[MOST], got[MOST] = {0};
        dsvl_sampler *s = sampler_of(c->penalty, c->temperature, c->top_p, 1, (size_t)c->vocab);
        if (!s) return;
        for (int i = 0; i < SEEN; i++) dsvl_sampler_see(s, c->seen[i]);
        dsvl_sampler_see(s, -1); /* an image of a model without a placeholder */
        size_t count = dsvl_sampler_candidates(s, c->logits, ids, p);
        for (size_t i = 0; i < count; i++) got[ids[i]] = p[i];
        for (int i = 0; i < c->vocab; i++)
            CHECK_MSG(fabsf(got[i] - c->probability[i]) < 2e-7f && !got[i] == !c->probability[i],
                      "case %zu, token %d: %.8f, want %.8f", k, i, (double)got[i], (double)c->probability[i]);

        /* Draws follow these probabilities, and nothing else is ever drawn. */
        enum { DRAWS = 20000 };
        int times[MOST] = {0};
        for (int i = 0; i < DRAWS; i++) {
            int32_t id = -1;
            float logprob;
            dsvl_error err = {0};
            CHECK(dsvl_sampler_pick(s, c->logits, &id, &logprob, &err) == 0 && id >= 0 && id < c->vocab);
            if (id >= 0 && id < c->vocab) times[id]++;
        }
        for (int i = 0; i < c->vocab; i++) {
            double want = (double)c->probability[i], spread = sqrt(want * (1 - want) / DRAWS);
            CHECK_MSG(fabs((double)times[i] / DRAWS - want) <= 5 * spread,
                      "case %zu, token %d: drawn %d times of %d, p %.4f", k, i, times[i], DRAWS, want);
        }
        dsvl_sampler_free(s);
    }
}

static void test_greedy(void)
{
    const float logits[] = {1, 3, -2, 3, 2.5f};
    int32_t id = -1;
    float logprob = 0;
    dsvl_error err = {0};
    dsvl_sampler *s = dsvl_sampler_new(NULL, 5, &err);
    CHECK(s && dsvl_sampler_pick(s, logits, &id, &logprob, &err) == 0);
    CHECK(id == 1); /* the first of equals */
    double sum = exp(1) + 2 * exp(3) + exp(-2) + exp(2.5);
    CHECK(fabs((double)logprob - (3 - log(sum))) < 1e-6);
    dsvl_sampler_free(s);

    s = sampler_of(2, 0, 1, 0,
                   5); /* the penalty moves greedy choices too; the log-probability is from before it */
    dsvl_sampler_see(s, 1);
    dsvl_sampler_see(s, 3);
    CHECK(s && dsvl_sampler_pick(s, logits, &id, &logprob, &err) == 0 && id == 4);
    CHECK(fabs((double)logprob - (2.5 - log(sum))) < 1e-6);
    dsvl_sampler_free(s);
}

static void test_seeds(void)
{
    const float logits[] = {0.5f, 0.4f, 0.3f, 0.2f, 0.1f, 0};
    int32_t first[32], id;
    float logprob;
    dsvl_error err = {0};
    bool differs = false;
    for (uint64_t seed = 7; seed <= 8; seed++) {
        for (int round = 0; round < 2; round++) {
            dsvl_sampler *s = sampler_of(1, 1, 1, seed, 6);
            for (int i = 0; s && i < 32; i++) {
                CHECK(dsvl_sampler_pick(s, logits, &id, &logprob, &err) == 0);
                if (seed == 7 && round == 0)
                    first[i] = id;
                else if (seed == 7)
                    CHECK(first[i] == id);
                else
                    differs = differs || first[i] != id;
            }
            dsvl_sampler_free(s);
        }
    }
    CHECK(differs);
}

static void test_refusals(void)
{
    static const dsvl_sampling wrong[] = {
        {-1, 1, 1, 0, 0, 0}, {NAN, 1, 1, 0, 0, 0},  {INFINITY, 1, 1, 0, 0, 0},
        {1, 0, 1, 0, 0, 0},  {1, 1.5f, 1, 0, 0, 0}, {1, NAN, 1, 0, 0, 0},
        {1, 1, 0, 0, 0, 0},  {1, 1, -2, 0, 0, 0},   {1, 1, NAN, 0, 0, 0}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        dsvl_error err = {0};
        CHECK(!dsvl_sampler_new(&wrong[i], 4, &err) && err.code == DSVL_E_USAGE);
    }
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    for (size_t i = 0; i < 3; i++) {
        const float logits[] = {1, bad[i], 0, 2};
        int32_t id;
        float logprob;
        dsvl_error err = {0};
        dsvl_sampler *s = dsvl_sampler_new(NULL, 4, &err);
        CHECK(s && dsvl_sampler_pick(s, logits, &id, &logprob, &err) == -1 && err.code == DSVL_E_MODEL);
        dsvl_sampler_free(s);
    }
}

static void test_tiny_temperature(void)
{
    const float logits[] = {1, 30, 29.99f, -30};
    int32_t id;
    float logprob;
    dsvl_error err = {0};
    dsvl_sampler *s = sampler_of(1, 1e-38f, 0.9f, 3, 4); /* the division overflows */
    for (int i = 0; s && i < 20; i++)
        CHECK(dsvl_sampler_pick(s, logits, &id, &logprob, &err) == 0 && id == 1);
    dsvl_sampler_free(s);
}

int main(void)
{
    test_published();
    test_greedy();
    test_seeds();
    test_refusals();
    test_tiny_temperature();
    return CHECK_DONE();
}
