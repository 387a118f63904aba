#include "operator/api/template_fields.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace backfill::api {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(TemplateFieldsTest, AreThoseOfAllTemplatesOnceEachByName) {
  Spec spec;
  HttpTarget& target = spec.target;
  spec.throttle.partition_by = "{{fields.region}}";
  target.url = "http://orders/{{fields.shop}}/{{key}}";
  target.headers = {{"X-Total", "{{fields.total}}"}};
  target.body = "{{fields.shop}}\n{{fields.a.b|json}}";
  target.dry_run.emplace();
  target.dry_run->body = "{{fields.only-here}} {{{{fields.literal}}";
  EXPECT_THAT(
      TemplateFields(spec),
      ElementsAre(TemplateField{"a.b", "spec.target.http.body: line 2, column 1"},
                  TemplateField{"only-here", "spec.target.http.dryRun.body: line 1, column 1"},
                  TemplateField{"region", "spec.throttle.partitionBy: line 1, column 1"},
                  TemplateField{"shop", "spec.target.http.url: line 1, column 15"},
                  TemplateField{"total", "spec.target.http.headers.X-Total: line 1, column 1"}));
}

TEST(TemplateFieldsTest, AreNoneWhereNoneAreNamed) {
  Spec spec;
  spec.target.url = "http://orders/{{key}}/{{record}}";
  EXPECT_THAT(TemplateFields(spec), IsEmpty());
}

}  // namespace
}  // namespace backfill::api
