import java.util.Map;
import org.flywaydb.core.api.MigrationInfo;
import org.flywaydb.core.api.configuration.FluentConfiguration;

/** Flyway's own commands: COMMAND URL USER PASSWORD DIRECTORY [KEY=VALUE]… */
class Flyway {
    public static void main(String[] arguments) {
        FluentConfiguration configuration = org.flywaydb.core.Flyway.configure()
                .dataSource(arguments[1], arguments[2], arguments[3])
                .locations("filesystem:" + arguments[4]);
        for (int at = 5; at < arguments.length; at++) {
            String[] pair = arguments[at].split("=", 2);
            configuration.configuration(Map.of("flyway." + pair[0], pair[1]));
        }
        org.flywaydb.core.Flyway flyway = configuration.load();
        try {
            switch (arguments[0]) {
                case "migrate" -> System.out.println(flyway.migrate().migrationsExecuted);
                case "validate" -> flyway.validate();
                case "repair" -> flyway.repair();
                case "baseline" -> flyway.baseline();
                case "info" -> {
                    for (MigrationInfo info : flyway.info().all()) {
                        System.out.println(info.getVersion() + " " + info.getDescription() + " " + info.getState());
                    }
                }
                default -> throw new IllegalArgumentException(arguments[0]);
            }
        } catch (RuntimeException error) {
            System.err.println(error.getMessage());
            System.exit(1);
        }
    }
}
