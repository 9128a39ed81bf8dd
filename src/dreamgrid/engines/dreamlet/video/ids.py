"""The catalogue ids of Dreamlet Video: two published ones, as `dreamgrid models` says as well."""

FROM_TEXT = "wan_v2.2-14b-fp8_t2v_lightx2v"
FROM_IMAGES = "wan_v2.2-14b-fp8_i2v_lightx2v"
MODELS = (FROM_TEXT, FROM_IMAGES)
