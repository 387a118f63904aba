#include "operator/kube/client/kube_config.h"

#include <fmt/format.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <map>

#include "operator/kube/client/kube_config_file.h"

namespace backfill::kube {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

class KubeConfigTest : public testing::Test {
 protected:
  KubeConfigTest() {
    std::string path = (std::filesystem::temp_directory_path() / "backfill-config-XXXXXX").string();
    if (::mkdtemp(path.data()) == nullptr) std::abort();
    dir_ = path;
  }
  ~KubeConfigTest() override { std::filesystem::remove_all(dir_); }

  std::string File(const std::string& name, const std::string& text) const {
    std::ofstream(dir_ / name) << text;
    return dir_ / name;
  }
  // A file with one of each, whose inside is given.
  std::string Config(const std::string& cluster, const std::string& user,
                     const std::string& context = "namespace: shop") const {
    return File("config", fmt::format(R"(apiVersion: v1
kind: Config
preferences: {{}}
current-context: c
contexts:
- name: c
  context:
    cluster: k
    user: u
    {}
clusters:
- name: k
  cluster:
    {}
users:
- name: u
  user:
    {}
)",
                                      context, cluster, user));
  }
  static Result<ClusterAccess> Load(const std::string& file) {
    return LoadKubeConfig({.files = {file}});
  }
  // What is said about a file, without its path.
  std::string Refusal(const std::string& file) const {
    const auto loaded = Load(file);
    if (loaded.ok()) return "accepted";
    std::string message = loaded.error().message;
    const std::string path = dir_.string() + "/config: ";
    if (message.starts_with(path)) message.erase(0, path.size());
    return message;
  }
  Environment Variables(std::map<std::string, std::string> variables) const {
    return [variables = std::move(variables)](const char* name) -> std::optional<std::string> {
      const auto it = variables.find(name);
      return it == variables.end() ? std::nullopt : std::optional<std::string>(it->second);
    };
  }

  std::filesystem::path dir_;
};

TEST_F(KubeConfigTest, R36_ReadsWhatAnAdministratorHas) {
  const auto access = Load(Config(
      "{server: https://k:6443, certificate-authority-data: Y2E=, tls-server-name: n, proxy-url: "
      "http://p:3128}",
      "{client-certificate-data: Y2VydA==, client-key-data: a2V5}"));
  ASSERT_TRUE(access.ok()) << access.error().message;
  EXPECT_EQ(access->server, "https://k:6443");
  EXPECT_EQ(access->tls_server_name, "n");
  EXPECT_EQ(access->proxy_url, "http://p:3128");
  EXPECT_EQ(access->ns, "shop");
  EXPECT_EQ(access->files.ca_pem, "ca");
  EXPECT_EQ(access->files.certificate_pem, "cert");
  EXPECT_EQ(access->files.key_pem, "key");
  EXPECT_FALSE(access->skip_tls_verify);
  EXPECT_FALSE(access->exec);
  const RestOptions options = OptionsFor(*access, {.max_requests = 3});
  EXPECT_EQ(options.server, "https://k:6443");
  EXPECT_EQ(options.max_requests, 3u);
}

TEST_F(KubeConfigTest, PathsAreRelativeToTheFile) {
  const auto access =
      Load(Config("{server: https://k, certificate-authority: pki/ca.crt}",
                  "{client-certificate: /etc/c.crt, client-key: ../c.key, tokenFile: t}"));
  ASSERT_TRUE(access.ok());
  EXPECT_EQ(access->files.ca_file, dir_ / "pki/ca.crt");
  EXPECT_EQ(access->files.certificate_file, "/etc/c.crt");
  EXPECT_EQ(access->files.key_file, dir_ / "../c.key");
  EXPECT_EQ(access->files.token_file, dir_ / "t");
}

TEST_F(KubeConfigTest, DataGoesBeforeFilesAndTokenFilesBeforeTokens) {
  const auto access = Load(Config(
      "{server: https://k, certificate-authority: x, certificate-authority-data: Y2E=}",
      "{token: a, tokenFile: /b, client-certificate: x, client-certificate-data: Y2VydA==}"));
  ASSERT_TRUE(access.ok());
  EXPECT_EQ(access->files.ca_pem, "ca");
  EXPECT_EQ(access->files.ca_file, "");
  EXPECT_EQ(access->files.certificate_file, "");
  EXPECT_EQ(access->files.token, "");
  EXPECT_EQ(access->files.token_file, "/b");
  EXPECT_EQ(Load(Config("{server: https://k}", "token: '0123'"))->files.token, "0123");
  EXPECT_EQ(Load(Config("{server: https://k}", "token: 0123"))->files.token, "0123");
}

TEST_F(KubeConfigTest, JsonIsYamlToo) {
  const auto access =
      Load(File("config", R"({"apiVersion": "v1", "kind": "Config", "current-context": "c",
    "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
    "clusters": [{"name": "k", "cluster": {"server": "https://k"}}],
    "users": [{"name": "u", "user": {"token": "t\u0061"}}]})"));
  ASSERT_TRUE(access.ok()) << access.error().message;
  EXPECT_EQ(access->files.token, "ta");
}

TEST_F(KubeConfigTest, AProxyOnThisMachineNeedsNoUser) {
  const auto access = Load(File("config", R"(current-context: c
contexts: [{name: c, context: {cluster: k}}]
clusters: [{name: k, cluster: {server: 'http://127.0.0.1:8001'}}]
)"));
  ASSERT_TRUE(access.ok()) << access.error().message;
  EXPECT_EQ(access->server, "http://127.0.0.1:8001");
}

TEST_F(KubeConfigTest, ACheckThatIsLeftOutMustBeAskedFor) {
  const std::string file =
      Config("{server: https://k, insecure-skip-tls-verify: true}", "token: t");
  EXPECT_EQ(Refusal(file),
            "line 12: clusters[0].cluster: insecure-skip-tls-verify: would trust any server, and "
            "must be asked for");
  const auto access = LoadKubeConfig({.files = {file}, .allow_insecure = true});
  ASSERT_TRUE(access.ok());
  EXPECT_TRUE(access->skip_tls_verify);
  const std::string both = Config(
      "{server: https://k, insecure-skip-tls-verify: true, certificate-authority: x}", "token: t");
  EXPECT_FALSE(LoadKubeConfig({.files = {both}, .allow_insecure = true}).ok());
}

TEST_F(KubeConfigTest, OfSeveralFilesTheFirstThatSaysSomethingCounts) {
  const std::string one = File("one", R"(
current-context: ""
users: [{name: u, user: {token: one}}]
contexts: [{name: c, context: {cluster: k, user: u, namespace: one}}]
)");
  const std::string two = File("two", R"(
current-context: c
users: [{name: u, user: {token: two}}, {name: v, user: {tokenFile: v}}]
clusters: [{name: k, cluster: {server: 'https://two'}}, {name: k, cluster: {server: 'https://twice'}}]
contexts: [{name: c, context: {cluster: k, user: u, namespace: two}}, {name: d, context: {cluster: k, user: v}}]
)");
  const auto access = LoadKubeConfig({.files = {one, "", two}});
  ASSERT_TRUE(access.ok()) << access.error().message;
  EXPECT_EQ(access->files.token, "one");
  EXPECT_EQ(access->ns, "one");
  EXPECT_EQ(access->server, "https://two");
  const auto other = LoadKubeConfig({.files = {one, two}, .context = "d"});
  ASSERT_TRUE(other.ok());
  EXPECT_EQ(other->files.token_file, dir_ / "v");
}

TEST_F(KubeConfigTest, TellsWhatContextsThereAre) {
  const std::string one = File("one", "contexts: [{name: c, context: {cluster: k}}]");
  const std::string two = File("two", R"(
current-context: d
contexts: [{name: d, context: {cluster: k}}, {name: c, context: {cluster: k}}]
)");
  const auto contexts = ListContexts({.files = {one, two}});
  ASSERT_TRUE(contexts.ok()) << contexts.error().message;
  EXPECT_EQ(contexts->current, "d");
  EXPECT_THAT(contexts->names, ElementsAre("c", "d"));
  EXPECT_EQ(ListContexts({.files = {one, two}, .context = "x"})->current, "x");
  EXPECT_EQ(ListContexts({.files = {"/absent"}, .must_exist = false}).error().code,
            ErrorCode::kNotFound);
}

TEST_F(KubeConfigTest, TheEnvironmentSaysWhichFiles) {
  const auto files = [&](std::map<std::string, std::string> variables) {
    return DefaultKubeConfig(Variables(std::move(variables))).files;
  };
  EXPECT_THAT(files({{"KUBECONFIG", "/a::/b:"}, {"HOME", "/h"}}), ElementsAre("/a", "/b"));
  EXPECT_THAT(files({{"KUBECONFIG", ""}, {"HOME", "/h"}}), ElementsAre("/h/.kube/config"));
  EXPECT_THAT(files({}), IsEmpty());
  // Those that are not there are passed over, but some must be.
  auto request = DefaultKubeConfig(
      Variables({{"KUBECONFIG", "/nonexistent:" + Config("{server: https://k}", "token: t")}}));
  EXPECT_TRUE(LoadKubeConfig(request).ok());
  request.files.pop_back();
  EXPECT_EQ(LoadKubeConfig(request).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(Load("/nonexistent").error().code, ErrorCode::kUnauthenticated);
}

TEST_F(KubeConfigTest, WhatIsNamedGoesBeforeThePodAndThatBeforeHome) {
  const std::string named = Config("{server: https://named}", "token: t");
  const auto server = [this](std::map<std::string, std::string> variables) {
    const auto access = FindCluster(Variables(std::move(variables)));
    return access.ok() ? access->server : access.error().message;
  };
  const std::pair<const std::string, std::string> host{"KUBERNETES_SERVICE_HOST", "10.0.0.1"};
  const std::pair<const std::string, std::string> port{"KUBERNETES_SERVICE_PORT", "443"};
  EXPECT_EQ(server({{"KUBECONFIG", named}, host, port}), "https://named");
  EXPECT_EQ(server({{"HOME", "/nonexistent"}, host, port}), "https://10.0.0.1:443");
  EXPECT_THAT(server({{"HOME", "/nonexistent"}}), HasSubstr("there is no kubeconfig"));
  // A pod that is told nonsense does not go elsewhere.
  EXPECT_THAT(server({host, {"KUBERNETES_SERVICE_PORT", "x"}, {"HOME", dir_}}),
              HasSubstr("KUBERNETES_SERVICE_PORT"));
}

TEST_F(KubeConfigTest, ErrorsNameFileLineAndField) {
  const std::pair<std::string, std::string> cases[] = {
      {"a: [", "line 1: not YAML"},
      {"- x", "must be an object"},
      {"contexts: x", "line 1: contexts: must be a list of objects"},
      {"users:\n- x", "line 2: users[0]: must be an object"},
      {"users:\n- name: u\n  user:\n    token: [t]",
       "line 4: users[0].user.token: must be a string"},
      {"users:\n- name: u\n  user:\n    token: true",
       "line 4: users[0].user.token: must be a string"},
      {"clusters:\n- name: k\n  cluster: {insecure-skip-tls-verify: yes}",
       "line 3: clusters[0].cluster.insecure-skip-tls-verify: must be true or false"},
      {"a: 1\na: 2", "line 2: a key for the second time"},
      {"a: &x [1]\nb: *x", "line 2: an alias, which is not supported"},
      {"a: 1\n---\nb: 2", "line 2: a second document begins here"},
      {"? [a]\n: b", "line 1: a key that is not a scalar"},
      {"a: \xff", "not a text of UTF-8"},
      {std::string("a: \0", 4), "not a text of UTF-8"},
      {"a: 'open\n", "line 2: not YAML"},
      {"{}", "current-context: must not be empty, unless a context is chosen"},
      {"current-context: c", "there is no context 'c'"},
  };
  for (const auto& [text, message] : cases) {
    EXPECT_EQ(Refusal(File("config", text)), message) << text;
  }
  EXPECT_THAT(Refusal(Config("{server: https://k}", "token: t", "cluster2: x")), "accepted");
}

TEST_F(KubeConfigTest, WhatIsReferredToMustBeThere) {
  EXPECT_THAT(Refusal(File("config", R"(current-context: c
contexts:
- {name: c, context: {cluster: k, user: u}}
)")),
              HasSubstr("line 3: contexts[0]: "));
  EXPECT_THAT(Refusal(File("config", R"(current-context: c
contexts:
- {name: c, context: {cluster: k, user: u}}
clusters: [{name: k, cluster: {server: 'https://k'}}]
)")),
              HasSubstr("there is no user 'u'"));
}

TEST_F(KubeConfigTest, WhatWouldActAsSomebodyElseIsRefused) {
  for (const char* member :
       {"username: a", "password: b", "as: admin", "auth-provider: {name: gcp}"}) {
    EXPECT_THAT(Refusal(Config("{server: https://k}", member)), HasSubstr("is not supported"));
  }
  // Of others than are used it does not matter.
  const auto other = Load(File("config", R"(current-context: c
contexts: [{name: c, context: {cluster: k, user: u}}]
clusters: [{name: k, cluster: {server: 'https://k'}}]
users: [{name: u, user: {token: t}}, {name: v, user: {username: x}}]
)"));
  EXPECT_TRUE(other.ok());
}

TEST_F(KubeConfigTest, SecretsAreNeverSaid) {
  for (const std::string& user : {
           std::string("{token: [s3cret]}"),
           std::string("{client-key-data: s3cret!}"),
           std::string("{token: s3cret, token: s3cret}"),
           std::string("{token: \"s3cret\\q\"}"),
           std::string(
               "{token: s3cret, exec: {command: x, apiVersion: client.authentication.k8s.io/v1}}"),
           std::string("*s3cret"),
       }) {
    const std::string refusal = Refusal(Config("{server: https://k}", user));
    EXPECT_NE(refusal, "accepted") << user;
    EXPECT_THAT(refusal, Not(HasSubstr("s3cret")));
  }
}

TEST_F(KubeConfigTest, Base64IsChecked) {
  for (const char* data : {"Y2E", "Y2E==", "=", "====", "Y2=E", "Y2E*", "\"Y\\u00e4E=\""}) {
    EXPECT_THAT(
        Refusal(Config(fmt::format("{{server: https://k, certificate-authority-data: {}}}", data),
                       "token: t")),
        HasSubstr("must be base64"))
        << data;
  }
  EXPECT_EQ(
      Load(Config("{server: https://k, certificate-authority-data: \"Y2 E=\\n\"}", "token: t"))
          ->files.ca_pem,
      "ca");
}

TEST_F(KubeConfigTest, LargeAndDeepFilesAreRefused) {
  EXPECT_THAT(Refusal(File("config", "a: " + std::string(5 << 20, 'x'))), HasSubstr("larger than"));
  EXPECT_THAT(Refusal(File("config", std::string(33, '[') + std::string(33, ']'))),
              HasSubstr("32 levels"));
  for (const char* begin : {"[", "{a: ", "- ", "? "}) {
    std::string deep;
    for (int i = 0; i < 10'000; ++i) deep += begin;
    EXPECT_NE(Refusal(File("config", deep)), "accepted") << begin;
  }
  std::string many = "a: [";
  for (int i = 0; i < 60'000; ++i) many += "1,";
  EXPECT_THAT(Refusal(File("config", many + "1]")), HasSubstr("50000 values"));
}

TEST_F(KubeConfigTest, AProgramSaysWhoWeAre) {
  const auto access = Load(Config("{server: https://k, certificate-authority-data: Y2E=}", R"(
      exec:
        apiVersion: client.authentication.k8s.io/v1
        command: ./login
        args: [get-token, --now]
        env: [{name: PROFILE, value: dev}]
        interactiveMode: IfAvailable
        installHint: brew install login
        provideClusterInfo: true)"));
  ASSERT_TRUE(access.ok()) << access.error().message;
  ASSERT_TRUE(access->exec);
  const ChildCommand& command = access->exec->command;
  EXPECT_EQ(command.program, dir_ / "./login");
  EXPECT_THAT(command.arguments, ElementsAre("get-token", "--now"));
  EXPECT_EQ(command.environment.at("PROFILE"), "dev");
  const std::string& info = command.environment.at("KUBERNETES_EXEC_INFO");
  EXPECT_THAT(info, HasSubstr(R"("interactive":false)"));
  EXPECT_THAT(info, HasSubstr(R"("certificate-authority-data":"Y2E=")"));
  EXPECT_THAT(info, HasSubstr(R"("server":"https://k")"));
  EXPECT_EQ(access->exec->install_hint, "brew install login");
}

TEST_F(KubeConfigTest, AProgramThatCannotBeRunSoIsRefused) {
  const std::pair<const char*, const char*> cases[] = {
      {"{command: x}", "apiVersion"},
      {"{command: x, apiVersion: client.authentication.k8s.io/v1alpha1}", "apiVersion"},
      {"{apiVersion: client.authentication.k8s.io/v1}", "command"},
      {"{command: x, apiVersion: client.authentication.k8s.io/v1, interactiveMode: Always}",
       "nobody answers"},
      {"{command: x, apiVersion: client.authentication.k8s.io/v1, interactiveMode: X}",
       "interactiveMode"},
      {"{command: x, apiVersion: client.authentication.k8s.io/v1, env: [{name: 'a=b', value: c}]}",
       "env"},
      {"{command: [x], apiVersion: client.authentication.k8s.io/v1}", "must be a string"},
  };
  for (const auto& [exec, message] : cases) {
    EXPECT_THAT(Refusal(Config("{server: https://k}", std::string("exec: ") + exec)),
                HasSubstr(message))
        << exec;
  }
}

TEST_F(KubeConfigTest, R36_InAPodTheServiceAccountSaysIt) {
  File("namespace", "shop\n");
  const auto access = LoadInCluster(
      Variables({{"KUBERNETES_SERVICE_HOST", "10.0.0.1"}, {"KUBERNETES_SERVICE_PORT", "443"}}),
      dir_);
  ASSERT_TRUE(access.ok());
  EXPECT_EQ(access->server, "https://10.0.0.1:443");
  EXPECT_EQ(access->ns, "shop");
  EXPECT_EQ(access->files.token_file, dir_ / "token");
  EXPECT_EQ(access->files.ca_file, dir_ / "ca.crt");
  EXPECT_EQ(LoadInCluster(Variables({{"KUBERNETES_SERVICE_HOST", "fd00::1"},
                                     {"KUBERNETES_SERVICE_PORT", "443"}}),
                          dir_)
                ->server,
            "https://kubernetes.default.svc:443");
  EXPECT_EQ(LoadInCluster(Variables({}), dir_).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(
      LoadInCluster(
          Variables({{"KUBERNETES_SERVICE_HOST", "a b"}, {"KUBERNETES_SERVICE_PORT", "443"}}), dir_)
          .error()
          .code,
      ErrorCode::kInvalid);
}

}  // namespace
}  // namespace backfill::kube
