# cmake -DCRD=in.yaml -DMETA=in.yaml -DOUT=out.cc -P embed.cmake: makes the two files string views of backfill::api.
file(READ ${CRD} crd)
file(READ ${META} meta)
file(WRITE ${OUT}.new "#include \"operator/api/crd.h\"\n\nnamespace backfill::api {\n\n"
  "std::string_view CrdText() {\n  return R\"embedded(${crd})embedded\";\n}\n\n"
  "std::string_view ObjectMetaText() {\n  return R\"embedded(${meta})embedded\";\n}\n\n"
  "}  // namespace backfill::api\n")
file(RENAME ${OUT}.new ${OUT})
