-- The large data set: a shop with its catalogue, customers, orders, web analytics, code lists and monthly reports.
-- psql -v mb=500 -f shop.sql, in an empty database; `mb` is about how many megabytes its plain dump will have.
-- The same `mb` makes the same rows: chance has a seed for each table, and nothing depends on the clock or the locale.

\set ON_ERROR_STOP on
\set QUIET on

SET client_min_messages = warning;
SET timezone = 'UTC';
SET max_parallel_workers_per_gather = 0;
SET work_mem = '64MB';

-- About half of the bytes are events and an eighth is the catalogue; customers, orders and reviews share the rest.
SELECT :mb * 2330 AS events, :mb * 135 AS products, :mb * 380 AS customers, :mb * 680 AS orders, :mb * 220 AS reviews,
    200 + :mb * 2 AS report_rows, 40 + :mb / 5 AS codes
\gset

-- What the rows are drawn from; dropped at the end

CREATE SCHEMA seed;

CREATE FUNCTION seed.pick(words text[]) RETURNS text LANGUAGE sql VOLATILE
    RETURN words[1 + floor(random() * array_length(words, 1))::integer];

CREATE FUNCTION seed.number(low integer, high integer) RETURNS integer LANGUAGE sql VOLATILE
    RETURN low + floor(random() * (high - low + 1))::integer;

/* The first are drawn most often, like bestsellers and regular customers. */
CREATE FUNCTION seed.popular(most integer) RETURNS integer LANGUAGE sql VOLATILE
    RETURN 1 + floor(power(random(), 2) * most)::integer;

CREATE FUNCTION seed.instant(first_year integer, years integer) RETURNS timestamptz LANGUAGE sql VOLATILE
    RETURN make_timestamptz(first_year, 1, 1, 0, 0, 0, 'UTC')
        + make_interval(secs => floor(random() * years * 365 * 86400 * 1000) / 1000);

CREATE FUNCTION seed.sentence(words integer) RETURNS text LANGUAGE sql VOLATILE
    RETURN (
        SELECT string_agg(seed.pick('{the,a,of,with,and,for,sturdy,light,fast,quiet,handmade,woollen,oak,steel,linen,
            blue,grey,green,chair,lamp,table,jacket,bottle,rucksack,kettle,notebook,shelf,carpet,delivery,colour,size,
            quality,price,gift,weekend,kitchen,arrived,fits,broke,lasts,works,looks,feels,recommended,returned,bought,
            again,never,always,really}'), ' ')
        FROM generate_series(1, words)
    );

-- Types

CREATE TYPE order_status AS ENUM ('placed', 'paid', 'packed', 'shipped', 'delivered', 'returned', 'cancelled');
CREATE TYPE payment_method AS ENUM ('card', 'transfer', 'wallet', 'invoice', 'voucher');
CREATE DOMAIN amount AS numeric(12, 2) CONSTRAINT amount_is_not_negative CHECK (VALUE >= 0);

-- Code lists: many small tables, each of which but the first refers to the one before it

CREATE SCHEMA lookup;
COMMENT ON SCHEMA lookup IS 'Code lists that the back office maintains';

CREATE PROCEDURE seed.code_list(name text, before text, codes integer) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE TABLE lookup.%I (
        code text PRIMARY KEY,
        label text NOT NULL UNIQUE,
        sort_order integer DEFAULT 0 NOT NULL,
        valid_from date NOT NULL,
        valid_to date,
        narrows text,
        CONSTRAINT %I CHECK (valid_to > valid_from))', name, name || '_validity');
    EXECUTE format('INSERT INTO lookup.%I
        SELECT left(%L, 3) || n, seed.sentence(3) || n, n * 10, seed.instant(2015, 8)::date, NULL,
            left(%L, 3) || seed.number(1, $1)
        FROM generate_series(1, $1) AS n', name, name, before) USING codes;
    EXECUTE format('CREATE INDEX ON lookup.%I (sort_order)', name);
    EXECUTE format('COMMENT ON TABLE lookup.%I IS %L', name, 'The values of ' || replace(name, '_', ' '));
    IF before IS NOT NULL THEN
        EXECUTE format('ALTER TABLE lookup.%I ADD FOREIGN KEY (narrows) REFERENCES lookup.%I', name, before);
    END IF;
END $$;

SELECT setseed(0.11) \g /dev/null
SELECT format('CALL seed.code_list(%L, %L, %s)', name, lag(name) OVER (ORDER BY place), :codes)
FROM unnest('{country,region,currency,language,salutation,customer_group,loyalty_tier,consent_kind,newsletter_topic,brand,
    category,subcategory,season,collection,material,fabric_care,colour,colour_family,pattern,size_system,size_value,fit,
    age_group,energy_label,hazard_class,origin_rule,tariff_number,tax_class,price_group,price_list,discount_kind,
    coupon_kind,campaign,channel,device_class,browser_family,page_type,referrer_kind,search_engine,experiment,variant,
    order_channel,order_flag,fraud_rule,payment_provider,card_scheme,dunning_level,shipping_method,carrier,parcel_class,
    packaging,pickup_point_kind,delivery_window,customs_office,return_reason,refund_kind,warranty_kind,supplier_terms,
    incoterm,warehouse,storage_zone,bin_class,stock_movement,inspection_result,review_status,moderation_reason,
    question_topic,ticket_queue,ticket_priority,ticket_reason,team,cost_centre,ledger_account,reporting_unit,
    retention_rule,audit_kind,holiday_calendar,opening_hours,bank,legal_form}'::text[])
    WITH ORDINALITY AS list (name, place)
ORDER BY place
\gexec

-- Customers

CREATE TABLE customer (
    customer_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    email text NOT NULL CONSTRAINT customer_email_key UNIQUE,
    full_name text NOT NULL,
    country text NOT NULL REFERENCES lookup.country,
    city text NOT NULL,
    street text NOT NULL,
    phone text,
    registered_at timestamptz NOT NULL,
    newsletter boolean DEFAULT false NOT NULL,
    preferences jsonb DEFAULT '{}' NOT NULL
);
COMMENT ON COLUMN customer.preferences IS 'What the customer has chosen in the account settings';

SELECT setseed(0.22) \g /dev/null
INSERT INTO customer (email, full_name, country, city, street, phone, registered_at, newsletter, preferences)
SELECT lower(first) || '.' || lower(last) || n || '@' || seed.pick('{example.com,example.org,mail.example,post.example}'),
    first || ' ' || last, 'cou' || seed.popular(:codes), city, last || ' Street ' || seed.number(1, 250),
    CASE WHEN random() < 0.6 THEN '+49 30 ' || seed.number(100000, 9999999) END, seed.instant(2016, 9), random() < 0.4,
    jsonb_build_object('theme', seed.pick('{light,dark}'), 'language', seed.pick('{de,en,fr,it,pl}'), 'size', seed.number(34, 48))
FROM (
    SELECT n, seed.pick('{Ada,Bela,Clara,David,Emil,Frida,Georg,Hanna,Ida,Jonas,Karla,Leo,Mara,Nils,Olga,Paul}') AS first,
        seed.pick('{Ahrens,Becker,Conrad,Dietz,Engel,Fuchs,Graf,Hahn,Iwan,Jung,Kern,Lang,Maurer,Nagel,Otto,Pohl}') AS last,
        seed.pick('{Aachen,Berlin,Celle,Dresden,Erfurt,Fulda,Gera,Hamburg,Ingolstadt,Jena,Kassel,Leipzig,Mainz}') AS city
    FROM generate_series(1, :customers) AS n OFFSET 0
) AS person;

CREATE INDEX customer_email_lower_idx ON customer (lower(email));
CREATE INDEX customer_registered_at_idx ON customer (registered_at);

-- The catalogue: one wide table

CREATE TABLE product (
    product_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    sku text NOT NULL CONSTRAINT product_sku_key UNIQUE,
    ean text NOT NULL CONSTRAINT product_ean_key UNIQUE,
    title text NOT NULL,
    subtitle text,
    description text NOT NULL,
    care_instructions text,
    delivery_note text,
    seo_title text NOT NULL,
    seo_description text NOT NULL,
    slug text NOT NULL,
    brand text NOT NULL REFERENCES lookup.brand,
    category text NOT NULL REFERENCES lookup.category,
    season text REFERENCES lookup.season,
    material text REFERENCES lookup.material,
    colour text REFERENCES lookup.colour,
    tax_class text NOT NULL REFERENCES lookup.tax_class,
    tariff_number text,
    country_of_origin text,
    price amount NOT NULL,
    list_price amount,
    purchase_price amount NOT NULL,
    currency character(3) DEFAULT 'EUR' NOT NULL,
    weight_grams integer NOT NULL,
    width_mm integer,
    height_mm integer,
    depth_mm integer,
    volume_litres double precision,
    stock integer DEFAULT 0 NOT NULL,
    reserved integer DEFAULT 0 NOT NULL,
    reorder_level integer,
    lead_days smallint,
    rating real,
    review_count integer DEFAULT 0 NOT NULL,
    is_active boolean DEFAULT true NOT NULL,
    is_fragile boolean DEFAULT false NOT NULL,
    is_digital boolean DEFAULT false NOT NULL,
    image_urls text[] DEFAULT '{}' NOT NULL,
    attributes jsonb NOT NULL,
    listed_on date NOT NULL,
    delisted_on date,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT product_delisted_after_listed CHECK (delisted_on >= listed_on)
);

SELECT setseed(0.33) \g /dev/null
INSERT INTO product
OVERRIDING SYSTEM VALUE
SELECT n, 'SKU-' || lpad((n::bigint * 7919 % 99999989)::text, 8, '0'), '40' || lpad((n::bigint * 104729 % 99999999977)::text, 11, '0'),
    title, seed.sentence(4), seed.sentence(60), seed.sentence(12), CASE WHEN random() < 0.3 THEN seed.sentence(8) END,
    title || ' | Shop', seed.sentence(15), replace(title, ' ', '-') || '-' || n, 'bra' || seed.popular(:codes),
    'cat' || seed.number(1, :codes), 'sea' || seed.number(1, :codes), 'mat' || seed.number(1, :codes),
    'col' || seed.number(1, :codes), 'tax' || seed.number(1, :codes), lpad(seed.number(1, 99999999)::text, 8, '0'),
    seed.pick('{DE,FR,IT,PL,PT,CN,IN,VN}'), cents / 100.0, (cents + 500) / 100.0, cents / 250.0, 'EUR', seed.number(20, 30000),
    seed.number(10, 2000), seed.number(10, 2000), seed.number(10, 800), random() * 100, seed.number(0, 500),
    seed.number(0, 20), seed.number(5, 50), seed.number(1, 30), random() * 5, seed.number(0, 400), random() < 0.9,
    random() < 0.1, random() < 0.02, ARRAY['https://images.example/' || md5(n::text) || '.webp', 'https://images.example/' || md5(title) || '.webp'],
    jsonb_build_object('gauge', seed.number(1, 20), 'finish', seed.pick('{matt,gloss,raw}'), 'bundle', random() < 0.2,
        'certificates', jsonb_build_array(seed.pick('{FSC,GOTS,EU-Ecolabel}'), seed.pick('{CE,GS,none}'))),
    seed.instant(2016, 8)::date, NULL, seed.instant(2015, 1), seed.instant(2024, 1)
FROM (SELECT n, seed.sentence(4) AS title, seed.number(299, 49900) AS cents FROM generate_series(1, :products) AS n OFFSET 0) AS drawn;
SELECT setval(pg_get_serial_sequence('product', 'product_id'), :products) \g /dev/null

CREATE INDEX product_category_price_idx ON product (category, price);
CREATE INDEX product_title_lower_idx ON product (lower(title));
CREATE INDEX product_attributes_finish_idx ON product ((attributes ->> 'finish'));

-- Orders

CREATE TABLE "order" (
    order_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    number text NOT NULL CONSTRAINT order_number_key UNIQUE,
    customer_id integer NOT NULL REFERENCES customer,
    status order_status NOT NULL,
    placed_at timestamptz NOT NULL,
    shipped_at timestamptz,
    carrier text REFERENCES lookup.carrier,
    note text,
    CONSTRAINT order_shipped_after_placed CHECK (shipped_at >= placed_at)
);

SELECT setseed(0.44) \g /dev/null
INSERT INTO "order" (number, customer_id, status, placed_at, shipped_at, carrier, note)
SELECT 'O-' || lpad((n::bigint * 15485863 % 9999999967)::text, 10, '0'), seed.popular(:customers),
    seed.pick('{placed,paid,packed,shipped,delivered,delivered,delivered,returned,cancelled}')::order_status, placed_at,
    CASE WHEN random() < 0.8 THEN placed_at + make_interval(hours => seed.number(4, 90)) END, 'car' || seed.number(1, :codes),
    CASE WHEN random() < 0.2 THEN seed.sentence(6) END
FROM (SELECT n, seed.instant(2018, 7) AS placed_at FROM generate_series(1, :orders) AS n OFFSET 0) AS drawn;

CREATE TABLE order_line (
    order_id integer NOT NULL REFERENCES "order" ON DELETE CASCADE,
    position smallint NOT NULL,
    product_id integer NOT NULL REFERENCES product,
    quantity smallint NOT NULL,
    unit_price amount NOT NULL,
    discount amount DEFAULT 0 NOT NULL,
    gift_text text,
    PRIMARY KEY (order_id, position),
    CONSTRAINT order_line_quantity_is_positive CHECK (quantity > 0)
);

SELECT setseed(0.55) \g /dev/null
INSERT INTO order_line
SELECT order_id, position, seed.popular(:products), seed.number(1, 4), seed.number(299, 49900) / 100.0,
    seed.number(0, 299) / 100.0, CASE WHEN random() < 0.05 THEN seed.sentence(8) END
FROM (SELECT order_id, 1 + order_id % 4 AS lines FROM "order") AS cart, generate_series(1, lines) AS position;

CREATE TABLE payment (
    payment_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_id integer NOT NULL REFERENCES "order" ON DELETE CASCADE,
    method payment_method NOT NULL,
    reference uuid NOT NULL CONSTRAINT payment_reference_key UNIQUE,
    paid_at timestamptz NOT NULL,
    total amount NOT NULL
);

SELECT setseed(0.66) \g /dev/null
INSERT INTO payment (order_id, method, reference, paid_at, total)
SELECT order_id, seed.pick('{card,card,transfer,wallet,invoice,voucher}')::payment_method, md5('payment ' || order_id)::uuid,
    placed_at + make_interval(mins => seed.number(1, 4000)), seed.number(299, 99900) / 100.0
FROM "order" WHERE status NOT IN ('placed', 'cancelled') ORDER BY order_id;

CREATE INDEX order_customer_id_idx ON "order" (customer_id);
CREATE INDEX order_placed_on_idx ON "order" (((placed_at AT TIME ZONE 'UTC')::date));
CREATE INDEX order_open_idx ON "order" (placed_at) WHERE status IN ('placed', 'paid', 'packed');
CREATE INDEX order_line_product_id_idx ON order_line (product_id);
CREATE INDEX payment_order_id_idx ON payment (order_id);

-- Reviews

CREATE TABLE review (
    review_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    product_id integer NOT NULL REFERENCES product ON DELETE CASCADE,
    customer_id integer NOT NULL REFERENCES customer,
    stars smallint NOT NULL CONSTRAINT review_stars_are_1_to_5 CHECK (stars BETWEEN 1 AND 5),
    headline text NOT NULL,
    body text NOT NULL,
    written_at timestamptz NOT NULL
);

SELECT setseed(0.77) \g /dev/null
INSERT INTO review (product_id, customer_id, stars, headline, body, written_at)
SELECT seed.popular(:products), seed.popular(:customers), 6 - seed.popular(5), seed.sentence(5), seed.sentence(seed.number(10, 70)),
    seed.instant(2018, 7)
FROM generate_series(1, :reviews);

CREATE INDEX review_product_id_stars_idx ON review (product_id, stars);
CREATE INDEX review_customer_id_idx ON review (customer_id);

-- Web analytics: the dominant table

CREATE TABLE event (
    event_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    happened_at timestamptz NOT NULL,
    session_id uuid NOT NULL,
    customer_id integer REFERENCES customer,
    kind text NOT NULL,
    path text NOT NULL,
    tags text[] NOT NULL,
    properties jsonb NOT NULL
);

SELECT setseed(0.88) \g /dev/null
INSERT INTO event (happened_at, session_id, customer_id, kind, path, tags, properties)
SELECT make_timestamptz(2024, 1, 1, 0, 0, 0, 'UTC') + make_interval(secs => n * 7 + floor(random() * 600)),
    md5('session ' || (n / 12 + seed.number(0, 40)))::uuid, CASE WHEN random() < 0.3 THEN seed.popular(:customers) END,
    seed.pick('{view,view,view,view,search,search,click,click,add_to_cart,remove_from_cart,checkout,purchase}'),
    '/' || seed.pick('{product,product,product,category,search,cart,account}') || '/' || seed.popular(:products),
    ARRAY[seed.pick('{desktop,mobile,tablet}'), seed.pick('{new,returning}'), 'campaign-' || seed.popular(60)],
    jsonb_build_object('ms', seed.number(5, 3000), 'referrer', seed.pick('{search,mail,direct,partner,social}'),
        'viewport', seed.pick('{360x780,390x844,768x1024,1280x720,1920x1080}'), 'experiment', 'price-' || seed.number(1, 8),
        'scroll', seed.number(0, 100))
FROM generate_series(1, :events) AS n;

CREATE INDEX event_customer_id_happened_at_idx ON event (customer_id, happened_at);
CREATE INDEX event_session_id_idx ON event (session_id);
CREATE INDEX event_properties_idx ON event USING gin (properties jsonb_path_ops);

-- Monthly reports: partitions, each of them a small table

CREATE SCHEMA report;

CREATE TABLE report.sales (
    day date NOT NULL,
    product_id integer NOT NULL REFERENCES product,
    country text NOT NULL REFERENCES lookup.country,
    orders integer NOT NULL,
    units integer NOT NULL,
    revenue amount NOT NULL,
    PRIMARY KEY (day, product_id, country)
) PARTITION BY RANGE (day);
CREATE INDEX sales_product_id_idx ON report.sales (product_id);

SELECT setseed(0.99) \g /dev/null
SELECT format('CREATE TABLE report.%I PARTITION OF report.sales FOR VALUES FROM (%L) TO (%L)',
    to_char(month, '"sales_"YYYY_MM'), month::date, (month + interval '1 month')::date)
FROM generate_series(timestamp '2015-01-01', timestamp '2024-12-01', interval '1 month') AS month
\gexec
INSERT INTO report.sales
SELECT month::date + n % 28, seed.popular(:products), 'cou' || seed.popular(:codes), n % 40, n % 90, n % 9000
FROM generate_series(timestamp '2015-01-01', timestamp '2024-12-01', interval '1 month') AS month,
    generate_series(1, :report_rows) AS n
ON CONFLICT DO NOTHING;

CREATE VIEW report.open_order AS
SELECT o.order_id, o.number, c.full_name, o.status, o.placed_at
FROM "order" AS o JOIN customer AS c USING (customer_id)
WHERE o.status IN ('placed', 'paid', 'packed');

CREATE MATERIALIZED VIEW report.revenue AS
SELECT date_trunc('month', o.placed_at, 'UTC') AS month, p.category, count(*) AS lines, sum(l.quantity * l.unit_price - l.discount) AS revenue
FROM "order" AS o JOIN order_line AS l USING (order_id) JOIN product AS p USING (product_id)
GROUP BY 1, 2;
CREATE UNIQUE INDEX revenue_month_category_idx ON report.revenue (month, category);

CREATE FUNCTION touch_product() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := now();
    RETURN NEW;
END $$;
CREATE TRIGGER product_touched BEFORE UPDATE ON product FOR EACH ROW EXECUTE FUNCTION touch_product();

DROP SCHEMA seed CASCADE;
